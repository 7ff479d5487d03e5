import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, serversBySize } from '#projections/rooms/queries.ts';

/** Most servers that an alias is answered with: whoever joins tries a few of them. */
const MAX_SERVERS = 100;
/** Most servers of a room that are looked at for the largest. */
export const MAX_SERVERS_LOOKED_AT = 5000;

/**
 * The servers by which a room can be joined: this one first, whether or not it is in the room any more, then those with the most
 * people there, who are the likeliest to be there for long.
 */
export function residentServers(reader: Reader, roomId: string, serverName: string): string[] {
  const room = findRoom(reader, roomId);
  const others = room === undefined ? [] : serversBySize(reader, room.id, MAX_SERVERS_LOOKED_AT);
  return [...new Set([serverName, ...others])].slice(0, MAX_SERVERS);
}
