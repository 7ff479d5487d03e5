/** What a server has missed while it was away. */
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, isRelayed, roomsOfServer, timelineBackwards } from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Position } from '#streams/event-log.ts';

/** Events of others that are passed over in one room in search of the newest one to send. */
const MAX_PASSED_OVER = 1000;

/** An event and its place on the timeline. */
export interface PlacedEvent {
  readonly place: Position;
  readonly position: Position;
}

/** Whether this server is the one that sends an event to the others in its room. */
export function isOursToSend(reader: Reader, serverName: string, position: Position, sender: string): boolean {
  return serverNameOf(sender) === serverName || isRelayed(reader, position);
}

/**
 * The newest event that this server has to send to another, of each room that the other is in, where that came after a position:
 * the earliest of them first. The other server asks for what came before them.
 */
export function newestMissed(reader: Reader, serverName: string, destination: string, after: Position): PlacedEvent[] {
  const newest: PlacedEvent[] = [];
  for (const room of roomsOfServer(reader, destination)) {
    let passedOver = 0;
    for (const { place, position } of timelineBackwards(reader, room, after, reader.frontier)) {
      const event = eventAt(reader, position);
      if (event !== undefined && isOursToSend(reader, serverName, position, event.sender)) {
        newest.push({ place, position });
        break;
      }
      if (++passedOver >= MAX_PASSED_OVER) break;
    }
  }
  return newest.sort((a, b) => a.place - b.place);
}
