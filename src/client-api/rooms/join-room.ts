import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { join } from '#src/rooms/membership.ts';
import { joinBody, joinOptions } from './join-body.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/join`: joins a room by its id.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin
 */
export const joinRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/join',
  auth: 'guest',
  rateLimit: 'write',
  body: joinBody,
  handler: async ({ params, body, requester }, context: Context) => {
    await join(context, requester.userId, params.roomId, joinOptions(body));
    return { room_id: params.roomId };
  },
});
