/** Changes of thread subscriptions as clients are told of them. https://github.com/matrix-org/matrix-spec-proposals/pull/4308 */
import type { Reader } from '#projections/engine/reader.ts';
import { subscriptionsBackwards } from '#projections/thread-subscriptions/projection.ts';
import type { Position } from '#streams/event-log.ts';

/** Changes in one answer when the client does not say. Source: MSC4308. */
export const DEFAULT_CHANGES = 100;
/** Most changes in one answer. */
export const MAX_CHANGES = 1000;

/** Which changes: the newest of those after one position, up to another. */
export interface ChangesRange {
  readonly after: Position;
  readonly upTo: Position;
  readonly limit: number;
}

/** A window of changes. */
export interface SubscriptionChanges {
  /** Members of the answer as JSON text, without braces around them; empty where nothing changed. */
  readonly json: string;
  /** Up to where there are older changes that the window has no room for; undefined if there are none. */
  readonly olderUpTo: Position | undefined;
}

/** The newest changes of a user's subscriptions, each thread as it is now. */
export function subscriptionChanges(reader: Reader, userId: string, range: ChangesRange): SubscriptionChanges {
  const subscribed = new Map<string, Map<string, object>>();
  const unsubscribed = new Map<string, Map<string, object>>();
  const limit = Math.max(1, Math.min(range.limit, MAX_CHANGES));
  let count = 0;
  let olderUpTo: Position | undefined;
  for (const { roomId, root, at, standing } of subscriptionsBackwards(reader, userId, range.after, range.upTo)) {
    if (count === limit) {
      olderUpTo = at;
      break;
    }
    count += 1;
    const isOver = standing === 'unsubscribed';
    const rooms = isOver ? unsubscribed : subscribed;
    const threads = rooms.get(roomId) ?? new Map<string, object>();
    rooms.set(roomId, threads);
    threads.set(root, isOver ? { bump_stamp: at } : { automatic: standing === 'automatic', bump_stamp: at });
  }
  const parts: string[] = [];
  if (subscribed.size > 0) parts.push(`"subscribed":${roomsJson(subscribed)}`);
  if (unsubscribed.size > 0) parts.push(`"unsubscribed":${roomsJson(unsubscribed)}`);
  return { json: parts.join(','), olderUpTo };
}

function roomsJson(rooms: ReadonlyMap<string, ReadonlyMap<string, object>>): string {
  return JSON.stringify(
    Object.fromEntries([...rooms].map(([roomId, threads]) => [roomId, Object.fromEntries(threads)])),
  );
}
