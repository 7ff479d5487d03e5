/** What is new for other servers: which events, and who is to get each. */
import { joinedRoomAt } from '#projections/encryption/key-queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { type Event, eventsSince, serversIn } from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Position } from '#streams/event-log.ts';
import { isOursToSend, missedByNewcomer, type PlacedEvent } from './missed-events.ts';

/** Events of all rooms that are looked through for those that one server is to get. */
const MAX_LOOKED_THROUGH = 200;

/** An event that this server has to send, and the place from which on it has to be sent. */
export interface NewEvent extends PlacedEvent {
  /** Who is to get it. */
  readonly servers: ReadonlySet<string>;
  /** Whether somebody came into the room with it of whose devices the servers have to hear. */
  readonly isIntroduction: boolean;
}

/** The events after a position that this server has to send to others. */
export function* newEvents(reader: Reader, serverName: string, after: Position): Generator<NewEvent> {
  const rooms = new Map<Position, readonly string[]>();
  for (const { place, event } of eventsSince(reader, after)) {
    const { position, room, sender } = event;
    const missed = missedByNewcomer(reader, serverName, { place, event });
    const newcomer = new Set(missed === undefined ? [] : [missed.server]);
    // They are older, but it is since now that the server is to have them.
    for (const end of missed?.ends ?? []) {
      yield { place, position: end.position, servers: newcomer, isIntroduction: false };
    }
    if (!isOursToSend(reader, serverName, position, sender)) continue;
    const inRoom = rooms.get(room) ?? [...serversIn(reader, room)];
    rooms.set(room, inRoom);
    const servers = new Set(inRoom);
    const putOut = serverOfPutOut(event);
    if (putOut !== undefined) servers.add(putOut);
    servers.delete(serverName);
    // Whoever sent it to us has it. The sender of an invite by address need not know that it was redeemed.
    if (sender === event.stateKey) servers.delete(serverNameOf(sender) ?? '');
    yield { place, position, servers, isIntroduction: introducesDevices(reader, event, place) };
  }
}

/**
 * What one server is to get of what came after a position, up to another: all of it, in order. Undefined where so much has come
 * that it is not looked through.
 */
export function newEventsFor(
  reader: Reader,
  serverName: string,
  server: string,
  after: Position,
  upTo: Position,
): PlacedEvent[] | undefined {
  let lookedThrough = 0;
  for (const _ of eventsSince(reader, after)) if (++lookedThrough > MAX_LOOKED_THROUGH) return undefined;
  const events: PlacedEvent[] = [];
  for (const { place, position, servers } of newEvents(reader, serverName, after)) {
    if (place <= upTo && servers.has(server)) events.push({ place, position });
  }
  return events.sort((a, b) => a.place - b.place);
}

/** Whether somebody came into a room with the event of whose devices others there have to hear. */
function introducesDevices(reader: Reader, { type, stateKey, room, position }: Event, place: Position): boolean {
  if (type !== 'm.room.member' || stateKey === undefined) return false;
  const joinedAt = joinedRoomAt(reader, stateKey, room);
  return joinedAt === place || joinedAt === position;
}

/**
 * The server of somebody who was put out of a room, or whose invite was taken back: they are told so. An invite itself goes to
 * them another way, to a server that may not know the room.
 */
function serverOfPutOut({ type, stateKey, contentJson }: Event): string | undefined {
  if (type !== 'm.room.member' || stateKey === undefined) return undefined;
  const { membership } = parseJson(contentJson) as JsonObject;
  return membership === 'leave' || membership === 'ban' ? serverNameOf(stateKey) || undefined : undefined;
}
