import { compareCodePoints } from '#protocol/canonical-json.ts';
import type { RoomEvent } from './room-event.ts';

/** The room that most of the events are in, of several the least by id; `undefined` if there are no events. */
export function mainRoomOf(events: ReadonlyMap<string, RoomEvent>): string | undefined {
  const counts = new Map<string, number>();
  for (const { roomId } of events.values()) counts.set(roomId, (counts.get(roomId) ?? 0) + 1);
  const [first] = [...counts].sort(([a, countOfA], [b, countOfB]) => countOfB - countOfA || compareCodePoints(a, b));
  return first?.[0];
}
