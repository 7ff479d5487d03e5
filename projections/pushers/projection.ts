/** Where notifications go. */
import { readAccountRecord } from '#projections/accounts/records.ts';
import { userStreams } from '#projections/accounts/tables.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple } from '#projections/engine/table.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import {
  PUSHER_PROGRESS,
  PUSHER_REMOVED,
  PUSHER_SET,
  type Pusher,
  readPusher,
  readPusherProgress,
  readPusherRemoved,
} from './records.ts';

/** A pusher, the device that set it, and when it did. */
type PusherRow = readonly [deviceId: string | null, pusherJson: string, setAtMs: number, setAt: Position];

/** How far a pusher has come; see {@link PusherProgress}. */
type ProgressRow = readonly [position: Position, failingSinceMs: number | null];

/** Touched, with the user id behind it, when a user's pushers are made, changed or removed. */
export const PUSHERS_TOPIC = 'pushers:';

const pushers = defineTable({
  name: 'pushers.pushers',
  key: tuple<[userId: string, appId: string, pushkey: string]>(str, str, str),
  value: msgpack<PusherRow>(),
  why: "A user's pushers are one range: what an event that notifies the user is sent to.",
  hide: ([userId], row, { users }) => (users.has(userId) ? undefined : row),
});

const usersOfKey = defineTable({
  name: 'pushers.users-of-key',
  key: tuple<[appId: string, pushkey: string, userId: string]>(str, str, str),
  value: empty,
  why: 'A client that is logged in as somebody else takes its pushkey along: the other user loses it.',
});

const progress = defineTable({
  name: 'pushers.progress',
  key: tuple<[userId: string, appId: string, pushkey: string]>(str, str, str),
  value: msgpack<ProgressRow>(),
  why: 'Written now and then for a pusher that sends, apart from what its user set.',
});

export const pushersProjection: Projection = {
  name: 'pushers',
  version: 2,
  tables: [pushers, usersOfKey, progress],
  apply(tx, record) {
    if (record.kind === PUSHER_SET) {
      const read = readPusher(record);
      if (read === undefined) return;
      const { userId, deviceId = null, pusher } = read;
      const { recordedAtMs, position } = record;
      const row: PusherRow = [deviceId, JSON.stringify(pusher), recordedAtMs, position];
      tx.put(pushers, [userId, pusher.app_id, pusher.pushkey], row);
      tx.put(usersOfKey, [pusher.app_id, pusher.pushkey, userId], true);
      tx.touch(`${PUSHERS_TOPIC}${userId}`);
    } else if (record.kind === PUSHER_REMOVED) {
      const read = readPusherRemoved(record);
      if (read !== undefined) remove(tx, read.userId, read.appId, read.pushkey);
    } else if (record.kind === PUSHER_PROGRESS) {
      const read = readPusherProgress(record);
      if (read === undefined) return;
      const key = [read.userId, read.appId, read.pushkey] as const;
      if (tx.has(pushers, key)) tx.put(progress, key, [read.position, read.failingSinceMs ?? null]);
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

/** A pusher as the sender of notifications knows it. */
export interface ActivePusher {
  readonly userId: string;
  readonly pusher: Pusher;
  /** When its user set it last, in milliseconds since the epoch. */
  readonly setAtMs: number;
  /** Position of the record that did. */
  readonly setAt: Position;
  /** Position up to which its notifications have been sent, as far as that was recorded. */
  readonly sentUpTo: Position;
  readonly failingSinceMs: number | undefined;
}

/** The users who have pushers, each once. */
export function usersWithPushers(reader: Reader): Set<string> {
  return new Set(Iterator.from(reader.keys(pushers)).map(([userId]) => userId));
}

/** A user's pushers as the sender of notifications knows them. */
export function* activePushersOf(reader: Reader, userId: string): Generator<ActivePusher> {
  for (const { key, value } of [...reader.range(pushers, { prefix: [userId] })]) {
    const [, pusherJson, setAtMs, setAt] = value;
    const [sentUpTo = setAt, failingSinceMs = null] = reader.get(progress, key) ?? [];
    yield {
      userId,
      pusher: parseJson(pusherJson) as unknown as Pusher,
      setAtMs,
      setAt,
      sentUpTo,
      failingSinceMs: failingSinceMs ?? undefined,
    };
  }
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
  tx.remove(progress, [userId, appId, pushkey]);
  tx.touch(`${PUSHERS_TOPIC}${userId}`);
}
