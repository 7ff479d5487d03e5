import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { roomDetails as detailsOf } from './room-json.ts';
import { roomOf } from './room-of.ts';

/**
 * `GET /_synapse/admin/v1/rooms/{roomId}`: what there is to know of a room without reading in it.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-details-api
 */
export const roomDetails = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'room.read' },
  rateLimit: 'none',
  handler: ({ params }, context: Pick<Context, 'reader' | 'serverName'>) =>
    detailsOf(context.reader, context.serverName, roomOf(context, params.roomId)),
});
