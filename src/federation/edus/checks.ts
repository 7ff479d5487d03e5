/** What every EDU is checked for: that its origin may speak of this user, and of this room. */

import type { Reader } from '#projections/engine/reader.ts';
import { isPartial } from '#projections/rooms/partial.ts';
import { membershipOf, type Room } from '#projections/rooms/queries.ts';
import { parseUserId } from '#protocol/identifiers.ts';
import { residentRoom } from '../inbound/admission.ts';

/** An EDU says something that its origin has no business to say, or that makes no sense. The message is for logs. */
export class EduRefused extends Error {
  override readonly name = 'EduRefused';
}

/** A user of the origin. @throws {EduRefused} for anybody else, and for what is no user id. */
export function userOf(origin: string, value: unknown): string {
  if (typeof value !== 'string' || parseUserId(value)?.serverName !== origin) {
    throw new EduRefused('it is about a user of another server');
  }
  return value;
}

/**
 * A room that both servers are in and whose access list does not shut the origin out.
 * @throws {EduRefused} for what is no room id, {@link MatrixError} as {@link residentRoom}.
 */
export function roomOf(reader: Reader, serverName: string, origin: string, value: unknown): Room {
  if (typeof value !== 'string') throw new EduRefused('it names no room');
  return residentRoom(reader, serverName, origin, value);
}

/** @throws {EduRefused} if the user is not in the room, see {@link mayBeIn}. */
export function requireJoined(reader: Reader, room: Room, userId: string): void {
  if (!mayBeIn(reader, room, userId)) throw new EduRefused('its user is not in the room');
}

/**
 * Whether a user is in a room. Where not all its members are known, nobody here can tell that of somebody of whom nothing is known:
 * their server, of which it is known that it is in the room, is then believed.
 */
export function mayBeIn(reader: Reader, room: Room, userId: string): boolean {
  const membership = membershipOf(reader, room.id, userId);
  return membership === 'join' || (membership === undefined && isPartial(reader, room.id));
}
