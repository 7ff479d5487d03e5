import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { join } from '#src/rooms/membership.ts';
import { joinBody, joinOptions } from './join-body.ts';
import { namedRoom, viaQuery } from './named-room.ts';

/**
 * `POST /_matrix/client/v3/join/{roomIdOrAlias}`: joins a room by its id or one of its aliases.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias
 */
export const joinByIdOrAlias = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/join/{roomIdOrAlias}',
  auth: 'guest',
  rateLimit: 'write',
  query: viaQuery,
  body: joinBody,
  handler: async ({ params, query, body, requester }, context: Context) => {
    const { roomId, via } = await namedRoom(context, params.roomIdOrAlias, query);
    await join(context, requester.userId, roomId, { ...joinOptions(body), via });
    return { room_id: roomId };
  },
});
