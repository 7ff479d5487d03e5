import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { knock as knockOn } from '#src/rooms/membership.ts';
import { namedRoom, viaQuery } from './named-room.ts';

/**
 * `POST /_matrix/client/v3/knock/{roomIdOrAlias}`: asks to be let into a room.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias
 */
export const knock = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/knock/{roomIdOrAlias}',
  auth: 'user',
  rateLimit: 'write',
  query: viaQuery,
  body: z.object({ reason: z.string().optional() }),
  handler: async ({ params, query, body, requester }, context: Context) => {
    const { roomId, via } = await namedRoom(context, params.roomIdOrAlias, query);
    await knockOn(context, requester.userId, roomId, { reason: body.reason, via });
    return { room_id: roomId };
  },
});
