import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import * as membership from '#src/rooms/membership.ts';
import { userIdSchema } from '../schemas.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/ban`: keeps somebody out.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidban
 */
export const ban = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/ban',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ user_id: userIdSchema, reason: z.string().optional() }),
  handler: async ({ params, body, requester }, context: Context) => {
    await membership.ban(context, requester.userId, params.roomId, body.user_id, { reason: body.reason });
    return {};
  },
});
