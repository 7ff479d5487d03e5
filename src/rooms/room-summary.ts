import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, isServerIn, membershipOf, membersOf, type Room, stateContent } from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { meetsCondition } from './membership.ts';
import { type PublicRoom, publicRoom } from './public-rooms.ts';

/** Members among whom somebody who is invited is looked for. */
const MAX_MEMBERS_LOOKED_AT = 10_000;

/** What somebody may know of a room before they are in it. Source: client-server API, `RoomSummary`. */
export interface RoomSummary extends PublicRoom {
  /** Rooms whose members may join; of a restricted room. */
  readonly allowed_room_ids?: readonly string[];
  /** The algorithm, where the room is encrypted. */
  readonly encryption?: string;
  readonly room_version?: string;
}

/** The summary of a room that this server is in. */
export function roomSummary(reader: Reader, room: Room): RoomSummary {
  const algorithm = stateContent(reader, room.id, 'm.room.encryption')?.['algorithm'];
  const joinRules = stateContent(reader, room.id, 'm.room.join_rules');
  const isRestricted = joinRules?.['join_rule'] === 'restricted' || joinRules?.['join_rule'] === 'knock_restricted';
  return {
    ...publicRoom(reader, room),
    ...(isRestricted && { allowed_room_ids: allowedRooms(joinRules['allow']) }),
    ...(typeof algorithm === 'string' && { encryption: algorithm }),
    room_version: room.version,
  };
}

/**
 * Whether somebody may see the summary of a room: members and who is invited; everybody, if anybody may join, knock or read;
 * and who meets a condition of a restricted room. Somebody who is banned sees only what the world may read.
 * Source: client-server API, `GET /rooms/{roomId}/hierarchy`.
 *
 * @param userId undefined for somebody who is not logged in.
 */
export function maySeeSummary(reader: Reader, room: Room, userId: string | undefined): boolean {
  const membership = userId === undefined ? undefined : membershipOf(reader, room.id, userId);
  if (membership === 'join' || membership === 'invite') return true;
  const visibility = stateContent(reader, room.id, 'm.room.history_visibility')?.['history_visibility'];
  if (visibility === 'world_readable') return true;
  if (membership === 'ban') return false;
  const authorization = roomVersionRules(room.version)?.authorization;
  const joinRules = stateContent(reader, room.id, 'm.room.join_rules');
  switch (joinRules?.['join_rule']) {
    case 'public':
      return true;
    case 'knock':
      return authorization?.knocking === true;
    case 'knock_restricted':
      return authorization?.knockRestrictedJoins === true;
    case 'restricted':
      return (
        authorization?.restrictedJoins === true &&
        userId !== undefined &&
        meetsCondition(reader, userId, joinRules['allow'])
      );
    default:
      return false;
  }
}

/**
 * Whether a server may be told the summary of a room: if any of its users may see it, as far as this server knows them.
 * Source: server-server API, `GET /hierarchy/{roomId}`.
 */
export function mayServerSeeSummary(reader: Reader, room: Room, server: string): boolean {
  if (isServerIn(reader, room.id, server) || maySeeSummary(reader, room, undefined)) return true;
  const joinRules = stateContent(reader, room.id, 'm.room.join_rules');
  const isRestricted = roomVersionRules(room.version)?.authorization.restrictedJoins === true;
  if (isRestricted && joinRules?.['join_rule'] === 'restricted') {
    const allowed = allowedRooms(joinRules['allow']).map((roomId) => findRoom(reader, roomId));
    if (allowed.some((other) => other !== undefined && isServerIn(reader, other.id, server))) return true;
  }
  let lookedAt = 0;
  for (const { userId, membership } of membersOf(reader, room.id)) {
    if (membership === 'invite' && serverNameOf(userId) === server) return true;
    if (++lookedAt > MAX_MEMBERS_LOOKED_AT) return false;
  }
  return false;
}

function allowedRooms(allow: unknown): string[] {
  if (!Array.isArray(allow)) return [];
  return allow.flatMap((condition: unknown) => {
    if (!isJsonObject(condition) || condition['type'] !== 'm.room_membership') return [];
    return typeof condition['room_id'] === 'string' ? [condition['room_id']] : [];
  });
}
