/**
 * The dehydrated device of a user: it takes in messages while the user is logged in nowhere.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3814
 */
import { accountRecord } from '#projections/accounts/records.ts';
import { devices } from '#projections/accounts/tables.ts';
import { dehydratedDeviceOf, dehydratedRecord } from '#projections/encryption/dehydrated-projection.ts';
import { waitingMessages } from '#projections/encryption/inbox-projection.ts';
import { keyRecord } from '#projections/encryption/key-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { changeUser, type UserStreamContext } from '#src/client-api/user-stream.ts';
import { invalidParam, MatrixError } from '#src/http/errors.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import { MAX_KEY_ALGORITHMS, MAX_ONE_TIME_KEYS } from './upload-keys.ts';
import type { UploadedKeys } from './uploaded-keys.ts';

/** Messages that are given out at a time. */
export const MAX_DEHYDRATED_EVENTS = 100;

/** A device as its owner's client describes it. */
export interface NewDehydratedDevice {
  readonly deviceId: string;
  readonly displayName: string | undefined;
  /** JSON text. */
  readonly deviceDataJson: string;
  readonly keys: UploadedKeys;
}

/**
 * Makes the user's dehydrated device, in the place of the one before: one append, all or nothing.
 * @throws {MatrixError} `M_INVALID_PARAM` for the id of another device of the user; `M_RESOURCE_LIMIT_EXCEEDED`.
 */
export async function putDehydratedDevice(
  context: UserStreamContext,
  userId: string,
  device: NewDehydratedDevice,
): Promise<void> {
  const { reader, newRecordId } = context;
  const { deviceId, displayName = null, deviceDataJson, keys } = device;
  const algorithms = new Set([...keys.oneTimeKeys, ...keys.fallbackKeys].map(({ algorithm }) => algorithm));
  if (keys.oneTimeKeys.length > MAX_ONE_TIME_KEYS || algorithms.size > MAX_KEY_ALGORITHMS) {
    throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'These are too many keys for one device.');
  }
  await changeUser(context, userId, () => {
    const former = dehydratedDeviceOf(reader, userId);
    if (former?.deviceId !== deviceId && reader.has(devices, [userId, deviceId])) {
      throw invalidParam('You have another device with this device_id.');
    }
    const records: RecordDraft[] = former === undefined ? [] : [removal(context, former.deviceId)];
    records.push(
      accountRecord(newRecordId(), 'device.added', { deviceId, displayName }),
      keyRecord(newRecordId(), 'keys.uploaded', {
        userId,
        deviceId,
        deviceKeysJson: keys.deviceKeysJson ?? null,
        oneTimeKeys: keys.oneTimeKeys,
        fallbackKeys: keys.fallbackKeys,
      }),
      dehydratedRecord(newRecordId(), userId, { deviceId, deviceDataJson }),
    );
    return records;
  });
}

/** Removes the user's dehydrated device; gives its id. @throws {MatrixError} `M_NOT_FOUND` */
export async function removeDehydratedDevice(context: UserStreamContext, userId: string): Promise<string> {
  const { deviceId } = requireDehydrated(context.reader, userId);
  await changeUser(context, userId, () => {
    const present = dehydratedDeviceOf(context.reader, userId);
    return present?.deviceId === deviceId ? [removal(context, deviceId)] : [];
  });
  return deviceId;
}

/** The user's dehydrated device. @throws {MatrixError} `M_NOT_FOUND` */
export function requireDehydrated(reader: Reader, userId: string) {
  const device = dehydratedDeviceOf(reader, userId);
  if (device === undefined) throw new MatrixError('M_NOT_FOUND', 'You have no dehydrated device.');
  return device;
}

/** A page of the messages to a dehydrated device; they stay until the device is removed. */
export interface DehydratedEvents {
  /** JSON texts. */
  readonly events: readonly string[];
  readonly nextBatch: string;
}

const TOKEN = /^d(-1|\d{1,15})$/;

/**
 * The messages to the user's dehydrated device after a token, or from the first on.
 * @throws {MatrixError} `M_FORBIDDEN` for a device that is not the user's dehydrated one, `M_INVALID_PARAM` for a bad token.
 */
export function dehydratedEvents(
  reader: Reader,
  userId: string,
  deviceId: string,
  from: string | undefined,
): DehydratedEvents {
  if (requireDehydrated(reader, userId).deviceId !== deviceId) {
    throw new MatrixError('M_FORBIDDEN', 'This is not your dehydrated device.');
  }
  const match = from === undefined ? undefined : TOKEN.exec(from);
  if (match === null) throw invalidParam('This is not a token that the server gave out.');
  let last = match === undefined ? -1 : Number(match[1]);
  const events: string[] = [];
  const range = { after: last, upTo: reader.frontier, limit: MAX_DEHYDRATED_EVENTS };
  for (const { at, eventJson } of waitingMessages(reader, userId, deviceId, range)) {
    events.push(eventJson);
    last = at;
  }
  return { events, nextBatch: `d${last}` };
}

function removal({ newRecordId }: UserStreamContext, deviceId: string): RecordDraft {
  return accountRecord(newRecordId(), 'device.removed', { deviceIds: [deviceId] });
}
