import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, serversIn } from '#projections/rooms/queries.ts';

/** Most servers that an alias is answered with: whoever joins tries a few of them. */
const MAX_SERVERS = 100;

/** The servers by which a room can be joined, this one first, whether or not it is in the room any more. */
export function residentServers(reader: Reader, roomId: string, serverName: string): string[] {
  const servers = new Set([serverName]);
  const room = findRoom(reader, roomId);
  if (room === undefined) return [...servers];
  for (const server of serversIn(reader, room.id)) {
    if (servers.size === MAX_SERVERS) break;
    servers.add(server);
  }
  return [...servers];
}
