import type { Reader } from '#projections/engine/reader.ts';
import { hasPlace, type KnownEvent, knownEvent } from '#projections/rooms/known-events.ts';
import type { Room } from '#projections/rooms/queries.ts';
import { notFound } from '#src/http/errors.ts';

/** An event of a room with a state around it that this server vouches for. @throws {MatrixError} M_NOT_FOUND */
export function placedEvent(reader: Reader, room: Room, eventId: string): KnownEvent {
  const known = knownEvent(reader, eventId);
  const isTold = known?.row.fork?.isTold === true;
  if (
    known === undefined ||
    isTold ||
    known.row.room !== room.id ||
    known.disposition === 'rejected' ||
    !hasPlace(known)
  ) {
    throw notFound('There is no such event in the room.');
  }
  return known;
}
