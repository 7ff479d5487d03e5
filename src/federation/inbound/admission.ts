/** Whether another server may ask something of a room. */
import type { Reader } from '#projections/engine/reader.ts';
import { isPartial } from '#projections/rooms/partial.ts';
import { findRoom, headOf, isServerIn, type Room, stateEvent } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { MatrixError } from '#src/http/errors.ts';
import { Lru } from '#src/sync/lru.ts';
import type { Position } from '#streams/event-log.ts';
import { ALLOW_ALL, type ServerAcl, serverAclOf } from '../server-acl.ts';

/**
 * A room that another server asks about: one that this server is in, and whose access list lets the other one take part.
 *
 * @throws {MatrixError} M_NOT_FOUND for a room that is not here, M_FORBIDDEN for a server that is shut out.
 */
export function admittedRoom(reader: Reader, serverName: string, origin: string, roomId: string): Room {
  const room = findRoom(reader, roomId);
  if (room === undefined || headOf(reader, room.id) === undefined || !isServerIn(reader, room.id, serverName)) {
    throw new MatrixError('M_NOT_FOUND', 'This server is not in the room.');
  }
  if (!aclOf(reader, room)(origin)) {
    throw new MatrixError('M_FORBIDDEN', 'The access list of the room shuts your server out.');
  }
  return room;
}

/**
 * As {@link residentRoom}, for what can be told only by who knows all of the room.
 * @throws {MatrixError} M_NOT_FOUND, too, where not all members of the room are known yet.
 */
export function knownRoom(reader: Reader, serverName: string, origin: string, roomId: string): Room {
  const room = residentRoom(reader, serverName, origin, roomId);
  requireMembers(reader, room);
  return room;
}

/** @throws {MatrixError} M_NOT_FOUND where not all members of a room are known yet. */
export function requireMembers(reader: Reader, room: Room): void {
  if (!isPartial(reader, room.id)) return;
  throw new MatrixError('M_NOT_FOUND', 'This server does not know all members of the room yet. Ask another one.');
}

/** As {@link admittedRoom}, for what only servers in the room may know. @throws {MatrixError} M_FORBIDDEN for one that is not. */
export function residentRoom(reader: Reader, serverName: string, origin: string, roomId: string): Room {
  const room = admittedRoom(reader, serverName, origin, roomId);
  if (!isServerIn(reader, room.id, origin)) throw new MatrixError('M_FORBIDDEN', 'Your server is not in the room.');
  return room;
}

/** Access lists that are kept ready: each costs as much memory as its event, some KiB as a rule, 64 at most. */
const MAX_LISTS = 500;

/** By room; what a list is made from is kept with it, so that it is never another room's, or an older one. */
const lists = new Lru<Position, { readonly contentJson: string; readonly acl: ServerAcl }>(MAX_LISTS);

/** Which servers the room lets take part now. */
export function aclOf(reader: Reader, room: Room): ServerAcl {
  const contentJson = stateEvent(reader, room.id, 'm.room.server_acl', '')?.contentJson;
  if (contentJson === undefined) return ALLOW_ALL;
  const known = lists.get(room.id);
  if (known?.contentJson === contentJson) return known.acl;
  const acl = serverAclOf(parseJson(contentJson) as JsonObject);
  lists.set(room.id, { contentJson, acl });
  return acl;
}
