import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import * as membership from '#src/rooms/membership.ts';
import { userIdSchema } from '../schemas.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/unban`: lifts a ban.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban
 */
export const unban = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/unban',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ user_id: userIdSchema, reason: z.string().optional() }),
  handler: async ({ params, body, requester }, context: Context) => {
    await membership.unban(context, requester.userId, params.roomId, body.user_id, { reason: body.reason });
    return {};
  },
});
