/** Whether another server may ask something of a room. */
import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, headOf, isServerIn, type Room, stateContent } from '#projections/rooms/queries.ts';
import { MatrixError } from '#src/http/errors.ts';
import { type ServerAcl, serverAclOf } from '../server-acl.ts';

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

/** As {@link admittedRoom}, for what only servers in the room may know. @throws {MatrixError} M_FORBIDDEN for one that is not. */
export function residentRoom(reader: Reader, serverName: string, origin: string, roomId: string): Room {
  const room = admittedRoom(reader, serverName, origin, roomId);
  if (!isServerIn(reader, room.id, origin)) throw new MatrixError('M_FORBIDDEN', 'Your server is not in the room.');
  return room;
}

/** Which servers the room lets take part now. */
export function aclOf(reader: Reader, room: Room): ServerAcl {
  return serverAclOf(stateContent(reader, room.id, 'm.room.server_acl'));
}
