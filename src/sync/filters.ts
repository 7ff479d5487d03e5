/** What a compiled filter says of stored events. */
import type { Reader } from '#projections/engine/reader.ts';
import { childrenOf } from '#projections/relations/queries.ts';
import type { Event } from '#projections/rooms/queries.ts';
import type { RelatedBy, RoomEventFilter } from '#src/client-api/filters/filter.ts';

/** Events that relate to one which are looked at for one of the senders that a filter names. */
const MAX_RELATIONS_SCANNED = 1000;

/** Whether a filter lets an event of some room through; the content is not parsed for it. */
export function passes(filter: RoomEventFilter, event: Event, reader: Reader): boolean {
  if (filter.passesAll) return true;
  if (!filter.matchesTypeAndSender(event.type, event.sender)) return false;
  if (filter.containsUrl !== undefined && filter.containsUrl !== event.hasUrl) return false;
  if (filter.matchesRelType?.(event.relation?.type) === false) return false;
  return filter.relatedBy === undefined || isRelatedBy(reader, event, filter.relatedBy);
}

function isRelatedBy(reader: Reader, { room, eventId }: Event, { senders, relTypes }: RelatedBy): boolean {
  let scanned = 0;
  for (const relType of relTypes ?? [undefined]) {
    for (const child of childrenOf(reader, room, eventId, { relType, direction: 'b' })) {
      if (senders === undefined || senders.includes(child.sender)) return true;
      if (++scanned > MAX_RELATIONS_SCANNED) return false;
    }
  }
  return false;
}
