/** In which rooms a user may have more or less unread than before, though nothing happened there: other rules count now. */
import { accountDataPosition } from '#projections/account-data/queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, roomsOf } from '#projections/rooms/queries.ts';
import { subscriptionsBackwards } from '#projections/thread-subscriptions/projection.ts';
import { PUSH_RULES_TYPE } from '#src/client-api/account-data/entries.ts';
import { IGNORED_USERS_TYPE } from '#src/push/push-profiles.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';

/** Internal ids of the rooms; without push rules or ignored users that are other than at a position, only those of threads. */
export function recountedRooms(reader: Reader, userId: string, since: Position, upTo: Position): ReadonlySet<Position> {
  const rooms = new Set<Position>();
  const hasNewRules = [PUSH_RULES_TYPE, IGNORED_USERS_TYPE].some(
    (type) => (accountDataPosition(reader, userId, type) ?? BEFORE_FIRST) > since,
  );
  if (hasNewRules) {
    for (const { room, membership } of roomsOf(reader, userId)) if (membership === 'join') rooms.add(room);
    return rooms;
  }
  for (const { roomId } of subscriptionsBackwards(reader, userId, since, upTo)) {
    const room = findRoom(reader, roomId);
    if (room !== undefined) rooms.add(room.id);
  }
  return rooms;
}
