/** Which threads users follow. https://github.com/matrix-org/matrix-spec-proposals/pull/4306 */
import { userStreams } from '#projections/accounts/tables.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import {
  readThreadSubscribed,
  readThreadUnsubscribed,
  THREAD_SUBSCRIBED,
  THREAD_UNSUBSCRIBED,
  type UserThread,
} from './records.ts';

/** How a user stands to a thread: position of the last change, and what it was. */
type SubscriptionRow = readonly [at: Position, standing: 'automatic' | 'manual' | 'unsubscribed'];

const subscriptions = defineTable({
  name: 'thread-subscriptions.subscriptions',
  key: tuple<[userId: string, roomId: string, root: string]>(str, str, str),
  value: msgpack<SubscriptionRow>(),
  why: 'Whether a user follows the thread of an event is one look-up; threads followed no more stay, with when that was.',
});

const changes = defineTable({
  name: 'thread-subscriptions.changes',
  key: tuple<[userId: string, at: number]>(str, u48),
  value: msgpack<readonly [roomId: string, root: string]>(),
  why: 'What changed after a position is one range; a thread that changes again moves, so there is one row a thread.',
});

const counts = defineTable({
  name: 'thread-subscriptions.counts',
  key: tuple<[userId: string]>(str),
  value: u48,
  why: 'How much one user may keep is bounded, and counting the threads at each change would read them all.',
});

export const threadSubscriptionsProjection: Projection = {
  name: 'thread-subscriptions',
  version: 1,
  tables: [subscriptions, changes, counts],
  apply(tx, record) {
    if (record.kind === THREAD_SUBSCRIBED) {
      const read = readThreadSubscribed(record);
      if (read !== undefined) put(tx, read, [record.position, read.isAutomatic ? 'automatic' : 'manual']);
    } else if (record.kind === THREAD_UNSUBSCRIBED) {
      const read = readThreadUnsubscribed(record);
      if (read !== undefined) put(tx, read, [record.position, 'unsubscribed']);
    } else if (record.kind === 'user.deactivated') {
      const userId = tx.get(userStreams, [record.stream]);
      if (userId !== undefined) removeAll(tx, userId);
    }
  },
};

function put(tx: Writer, { userId, roomId, root }: UserThread, row: SubscriptionRow): void {
  const before = tx.get(subscriptions, [userId, roomId, root]);
  if (before === undefined) tx.put(counts, [userId], (tx.get(counts, [userId]) ?? 0) + 1);
  else tx.remove(changes, [userId, before[0]]);
  tx.put(subscriptions, [userId, roomId, root], row);
  tx.put(changes, [userId, row[0]], [roomId, root]);
  tx.touch(`user:${userId}`);
}

function removeAll(tx: Writer, userId: string): void {
  for (const key of [...tx.keys(subscriptions, { prefix: [userId] })]) tx.remove(subscriptions, key);
  for (const key of [...tx.keys(changes, { prefix: [userId] })]) tx.remove(changes, key);
  tx.remove(counts, [userId]);
}

/** How a user stands to a thread. */
export interface Subscription {
  /** Position of the record that made it so. */
  readonly at: Position;
  readonly standing: SubscriptionRow[1];
}

/** How a user stands to a thread; undefined if they never followed it. */
export function subscriptionOf(reader: Reader, userId: string, roomId: string, root: string): Subscription | undefined {
  const row = reader.get(subscriptions, [userId, roomId, root]);
  return row && { at: row[0], standing: row[1] };
}

/** Whether a user follows a thread. */
export function isSubscribed(reader: Reader, userId: string, roomId: string, root: string): boolean {
  const row = reader.get(subscriptions, [userId, roomId, root]);
  return row !== undefined && row[1] !== 'unsubscribed';
}

/** In how many threads a user has a standing, past ones included. */
export function subscriptionCount(reader: Reader, userId: string): number {
  return reader.get(counts, [userId]) ?? 0;
}

/** Position of the last change of a user's subscriptions; `BEFORE_FIRST` for somebody who never had one. */
export function subscriptionsChangedAt(reader: Reader, userId: string): Position {
  return reader.seekLast(changes, [userId])?.key[1] ?? BEFORE_FIRST;
}

/** How a user stands to the threads that changed after one position, up to another: the newest change first. */
export function* subscriptionsBackwards(
  reader: Reader,
  userId: string,
  after: Position,
  upTo: Position,
): Generator<Subscription & { readonly roomId: string; readonly root: string }> {
  if (upTo < 0) return;
  const bounds = after < 0 ? {} : { gt: [userId, after] as const };
  const rows = reader.range(changes, { prefix: [userId], ...bounds, lte: [userId, upTo], reverse: true });
  for (const { value } of rows) {
    const [roomId, root] = value;
    const found = subscriptionOf(reader, userId, roomId, root);
    if (found !== undefined) yield { ...found, roomId, root };
  }
}
