import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { missingParam } from '#src/http/errors.ts';
import * as membership from '#src/rooms/membership.ts';
import { userIdSchema } from '../schemas.ts';
import { addressOf, addressSchema } from './third-party-address.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/invite`: asks somebody in.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite
 */
export const invite = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/invite',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({
    user_id: userIdSchema.optional(),
    reason: z.string().optional(),
    ...addressSchema.partial().shape,
  }),
  handler: async ({ params, body, requester }, context: Context) => {
    const { reason } = body;
    if (body.user_id === undefined) {
      if (body.address === undefined) throw missingParam('user_id');
      const address = addressOf(body);
      await membership.inviteByAddress(context, requester.userId, params.roomId, address, { reason });
      return {};
    }
    await membership.invite(context, requester.userId, params.roomId, body.user_id, { reason });
    return {};
  },
});
