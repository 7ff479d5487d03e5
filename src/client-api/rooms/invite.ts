import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError, missingParam } from '#src/http/errors.ts';
import * as membership from '#src/rooms/membership.ts';
import { userIdSchema } from '../schemas.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/invite`: asks somebody in.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite
 */
export const invite = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/invite',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ user_id: userIdSchema.optional(), address: z.string().optional(), reason: z.string().optional() }),
  handler: async ({ params, body, requester }, context: Context) => {
    if (body.user_id === undefined) {
      if (body.address === undefined) throw missingParam('user_id');
      throw new MatrixError('M_THREEPID_DENIED', 'This server has no identity server to invite people by address.');
    }
    await membership.invite(context, requester.userId, params.roomId, body.user_id, { reason: body.reason });
    return {};
  },
});
