/**
 * Dehydrated devices: devices that are nowhere, and whose messages another device of the user opens later.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3814
 */
import { readAccountRecord } from '#projections/accounts/records.ts';
import { userStreams } from '#projections/accounts/tables.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple } from '#projections/engine/table.ts';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { packedRecord, unpackSection } from './packed-record.ts';

const DEHYDRATED_DEVICE_SET = 'dehydrated_device.set';

/** A user's dehydrated device. */
export interface DehydratedDevice {
  readonly deviceId: string;
  /** JSON text: its private parts, encrypted by the user's client. */
  readonly deviceDataJson: string;
}

const dehydratedDevices = defineTable({
  name: 'keys.dehydrated-devices',
  key: tuple<[userId: string]>(str),
  value: msgpack<DehydratedDevice>(),
  why: 'A user has at most one, which a new login asks for.',
  hide: ([userId], row, { users }) => (users.has(userId) ? undefined : row),
});

export const dehydratedProjection: Projection = {
  name: 'dehydrated-devices',
  version: 1,
  tables: [dehydratedDevices],
  apply(tx, record) {
    if (record.kind === DEHYDRATED_DEVICE_SET) {
      const read = readDehydrated(record);
      if (read !== undefined) tx.put(dehydratedDevices, [read.userId], read.device);
      return;
    }
    if (record.kind !== 'device.removed' && record.kind !== 'user.deactivated') return;
    const read = readAccountRecord(record);
    const userId = tx.get(userStreams, [record.stream]);
    if (read === undefined || userId === undefined) return;
    const device = tx.get(dehydratedDevices, [userId]);
    if (device === undefined) return;
    if (read.kind === 'device.removed' && !read.fields.deviceIds.includes(device.deviceId)) return;
    tx.remove(dehydratedDevices, [userId]);
  },
};

/** The record that makes a device of a user the dehydrated one. */
export function dehydratedRecord(id: Uint8Array, userId: string, device: DehydratedDevice): RecordDraft {
  return packedRecord(id, DEHYDRATED_DEVICE_SET, [[userId, device.deviceId], device.deviceDataJson]);
}

/** The dehydrated device of a user, if there is one. */
export function dehydratedDeviceOf(reader: Reader, userId: string): DehydratedDevice | undefined {
  return reader.get(dehydratedDevices, [userId]);
}

function readDehydrated(record: LogRecord): { userId: string; device: DehydratedDevice } | undefined {
  const head = unpackSection(record, DEHYDRATED_DEVICE_SET, 0) as [string, string] | undefined;
  const deviceDataJson = unpackSection(record, DEHYDRATED_DEVICE_SET, 1) as string | undefined;
  if (head === undefined || deviceDataJson === undefined) return undefined;
  const [userId, deviceId] = head;
  return { userId, device: { deviceId, deviceDataJson } };
}
