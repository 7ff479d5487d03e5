import { mediaOfRoom } from '#src/admin/room-media.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { roomOf } from '../rooms/room-of.ts';

/**
 * `GET /_synapse/admin/v1/room/{roomId}/media`: the media that unencrypted events of a room name, by whose they are.
 * https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#list-all-media-in-a-room
 */
export const roomMedia = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/room/{roomId}/media',
  auth: 'admin',
  may: 'media.read',
  audit: { action: 'media.list' },
  rateLimit: 'none',
  handler: async ({ params, requester }, context: Pick<Context, 'reader' | 'serverName'>) => {
    const all = await mediaOfRoom(context, roomOf(context, params.roomId), requester.userId);
    const { local = [], remote = [] } = Object.groupBy(all, (uri) =>
      uri.startsWith(`mxc://${context.serverName}/`) ? 'local' : 'remote',
    );
    return { local, remote };
  },
});
