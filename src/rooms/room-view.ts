import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, headOf, memberOf, type Room, userRoomOf } from '#projections/rooms/queries.ts';
import { MatrixError } from '#src/http/errors.ts';
import { type Departure, departureOf, RoomVisibility } from './visibility.ts';

/** A room as somebody may look at it. */
export interface RoomView {
  readonly room: Room;
  readonly visibility: RoomVisibility;
  /** Version of the state that they may see: the current one, or that of the moment when they left. */
  readonly stateVersion: number;
  /** Where their time in the room ended, if it did; from then on they see no more. */
  readonly departure: Departure | undefined;
}

/**
 * The room as the user may look at it: as it is now for members, and for everybody where the world may read it; as they left
 * it for those who left, and have not forgotten it since. Who is banned sees no more of it than the world, as on other servers;
 * a sync tells them what came before.
 *
 * @throws {MatrixError} M_FORBIDDEN, whether the room is not there or not for them.
 */
export function viewRoom(reader: Reader, roomId: string, userId: string): RoomView {
  const room = findRoom(reader, roomId);
  const head = room && headOf(reader, room.id);
  if (room === undefined || head === undefined) throw notAMember();
  const visibility = new RoomVisibility(reader, room.id, userId);
  const current = { room, visibility, stateVersion: head.stateVersion, departure: undefined };
  const membership = memberOf(reader, room.id, userId)?.membership;
  if (membership === 'join') return current;
  const isShut = membership === 'ban' || userRoomOf(reader, userId, room.id)?.forgotten === true;
  const departure = isShut ? undefined : departureOf(reader, room.id, userId);
  if (departure !== undefined) return { ...current, stateVersion: departure.version, departure };
  if (visibility.visibilityAtVersion(head.stateVersion) === 'world_readable') return current;
  throw notAMember();
}

function notAMember(): MatrixError {
  return new MatrixError('M_FORBIDDEN', 'You are not in this room, and were not before.');
}
