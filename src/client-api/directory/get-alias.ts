import { isRoomAlias, serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { remoteAlias } from '#src/federation/remote-queries.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { residentServers } from '#src/rooms/resident-servers.ts';

/**
 * `GET /_matrix/client/v3/directory/room/{roomAlias}`: which room an alias points to.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias
 */
export const getAlias = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/directory/room/{roomAlias}',
  auth: 'none',
  rateLimit: 'read',
  handler: async ({ params }, context: Pick<Context, 'directory' | 'reader' | 'serverName' | 'federation'>) => {
    const { roomAlias } = params;
    const { directory, reader, serverName, federation } = context;
    if (isRoomAlias(roomAlias) && serverNameOf(roomAlias) !== serverName) {
      const { roomId, servers } = await remoteAlias(federation.client, roomAlias);
      return { room_id: roomId, servers };
    }
    const { roomId } = directory.resolve(roomAlias);
    return { room_id: roomId, servers: residentServers(reader, roomId, serverName) };
  },
});
