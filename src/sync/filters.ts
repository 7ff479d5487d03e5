/** What a compiled filter says of stored events. */
import type { Event } from '#projections/rooms/queries.ts';
import type { RoomEventFilter } from '#src/client-api/filters/filter.ts';

/** Whether a filter lets an event of some room through; the content is not parsed for it. */
export function passes(filter: RoomEventFilter, event: Event): boolean {
  if (filter.passesAll) return true;
  if (!filter.matchesTypeAndSender(event.type, event.sender)) return false;
  return filter.containsUrl === undefined || filter.containsUrl === event.hasUrl;
}
