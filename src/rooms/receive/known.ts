/** Which of the events that others name are here. */

import type { Reader } from '#projections/engine/reader.ts';
import { hasPlace, knownEvent } from '#projections/rooms/known-events.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import type { Position } from '#streams/event-log.ts';
import type { ReceivingRoom } from './types.ts';

/** Those of the ids that no event here has, each once. */
export function unknownOf(reader: Reader, eventIds: Iterable<string>): string[] {
  return [...new Set(eventIds)].filter((eventId) => knownEvent(reader, eventId) === undefined);
}

/** Those of the ids whose events have no place in the graph of the room. An event of another room never has. */
export function unplacedOf(reader: Reader, { roomId }: ReceivingRoom, eventIds: readonly string[]): string[] {
  const room = findRoom(reader, roomId)?.id;
  return eventIds.filter((eventId) => {
    const known = knownEvent(reader, eventId);
    return known === undefined || known.row.room !== room || !hasPlace(known);
  });
}

/** Positions of the events of a told state; what is not known, or was rejected, is left out. */
export function toldPositions(reader: Reader, eventIds: readonly string[]): Position[] {
  return eventIds.flatMap((eventId) => {
    const known = knownEvent(reader, eventId);
    return known === undefined || known.disposition === 'rejected' ? [] : [known.position];
  });
}
