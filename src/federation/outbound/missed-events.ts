/** What a server has missed while it was away. */
import type { Reader } from '#projections/engine/reader.ts';
import {
  type Event,
  eventAt,
  eventById,
  headOf,
  isRelayed,
  roomsOfServer,
  serverMemberCount,
  timelineBackwards,
} from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
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
 * The newest event that this server has to send to another, of each room that the other is in, where that came after a position and
 * not after another: the earliest of them first. The other server asks for what came before them.
 */
export function newestMissed(
  reader: Reader,
  serverName: string,
  destination: string,
  after: Position,
  upTo: Position,
): PlacedEvent[] {
  const newest: PlacedEvent[] = [];
  for (const room of roomsOfServer(reader, destination)) {
    let passedOver = 0;
    for (const { place, position } of timelineBackwards(reader, room, after, upTo)) {
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

/**
 * What a server has missed that has just come into a room by an event: while nobody here knew that it was coming, it was not sent what
 * was said here. These are the ends of the room from this server's hand that are on the timeline before the event; the other server
 * asks for what came before them.
 *
 * @returns nothing for any other event, or if the server was in the room already.
 */
export function missedByNewcomer(
  reader: Reader,
  ours: string,
  { place, event }: { readonly place: Position; readonly event: Event },
): { readonly server: string; readonly ends: readonly PlacedEvent[] } | undefined {
  const { type, stateKey, room, sender, contentJson } = event;
  const server = type === 'm.room.member' && stateKey === sender ? serverNameOf(sender) : undefined;
  if (server === undefined || server === ours || serverMemberCount(reader, room, server) !== 1) return undefined;
  if ((parseJson(contentJson) as JsonObject).membership !== 'join') return undefined;
  const ends: PlacedEvent[] = [];
  for (const eventId of headOf(reader, room)?.extremities ?? []) {
    const end = eventById(reader, eventId);
    if (end === undefined || !isOursToSend(reader, ours, end.position, end.sender)) continue;
    const endPlace = end.fork?.place ?? end.position;
    if (endPlace < place) ends.push({ place: endPlace, position: end.position });
  }
  return ends.length === 0 ? undefined : { server, ends };
}
