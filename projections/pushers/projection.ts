/** Where notifications go. */
import { readAccountRecord } from '#projections/accounts/records.ts';
import { userStreams } from '#projections/accounts/tables.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple } from '#projections/engine/table.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { LogRecord } from '#streams/event-log.ts';
import { PUSHER_REMOVED, PUSHER_SET, type Pusher, readPusher, readPusherRemoved } from './records.ts';

/** A pusher and the device that set it. */
type PusherRow = readonly [deviceId: string | null, pusherJson: string];

const pushers = defineTable({
  name: 'pushers.pushers',
  key: tuple<[userId: string, appId: string, pushkey: string]>(str, str, str),
  value: msgpack<PusherRow>(),
  why: "A user's pushers are one range: what an event that notifies the user is sent to.",
});

const usersOfKey = defineTable({
  name: 'pushers.users-of-key',
  key: tuple<[appId: string, pushkey: string, userId: string]>(str, str, str),
  value: empty,
  why: 'A client that is logged in as somebody else takes its pushkey along: the other user loses it.',
});

export const pushersProjection: Projection = {
  name: 'pushers',
  version: 1,
  tables: [pushers, usersOfKey],
  apply(tx, record) {
    if (record.kind === PUSHER_SET) {
      const read = readPusher(record);
      if (read === undefined) return;
      const { userId, deviceId = null, pusher } = read;
      tx.put(pushers, [userId, pusher.app_id, pusher.pushkey], [deviceId, JSON.stringify(pusher)]);
      tx.put(usersOfKey, [pusher.app_id, pusher.pushkey, userId], true);
    } else if (record.kind === PUSHER_REMOVED) {
      const read = readPusherRemoved(record);
      if (read !== undefined) remove(tx, read.userId, read.appId, read.pushkey);
    } else if (record.kind === 'device.removed' || record.kind === 'user.deactivated') {
      removeOrphans(tx, record);
    }
  },
};

/** A user's pushers, in order of app and pushkey. */
export function pushersOf(reader: Reader, userId: string): Pusher[] {
  return Array.from(
    reader.range(pushers, { prefix: [userId] }),
    ({ value }) => parseJson(value[1]) as unknown as Pusher,
  );
}

/** The users who have a pusher of this app and pushkey. */
export function usersOfPushkey(reader: Reader, appId: string, pushkey: string): string[] {
  return Array.from(reader.keys(usersOfKey, { prefix: [appId, pushkey] }), ([, , userId]) => userId);
}

/** With a device go the pushers that it set, with an account all. */
function removeOrphans(tx: Writer, record: LogRecord): void {
  const userId = tx.get(userStreams, [record.stream]);
  const read = readAccountRecord(record);
  if (userId === undefined || read === undefined) return;
  const gone = read.kind === 'device.removed' ? new Set(read.fields.deviceIds) : undefined;
  for (const { key, value } of [...tx.range(pushers, { prefix: [userId] })]) {
    const [deviceId] = value;
    if (gone === undefined || (deviceId !== null && gone.has(deviceId))) remove(tx, userId, key[1], key[2]);
  }
}

function remove(tx: Writer, userId: string, appId: string, pushkey: string): void {
  tx.remove(pushers, [userId, appId, pushkey]);
  tx.remove(usersOfKey, [appId, pushkey, userId]);
}
