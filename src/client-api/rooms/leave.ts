import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import * as membership from '#src/rooms/membership.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/leave`: leaves a room, turns an invite down or takes a knock back.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidleave
 */
export const leave = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/leave',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({ reason: z.string().optional() }),
  handler: async ({ params, body, requester }, context: Context) => {
    context.serverNotices.requireMayLeave(context, requester.userId, params.roomId);
    await membership.leave(context, requester.userId, params.roomId, { reason: body.reason });
    return {};
  },
});
