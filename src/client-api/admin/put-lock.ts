import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetOfRestriction } from './target-user.ts';

/**
 * `PUT /_matrix/client/v1/admin/lock/{userId}`: locks an account, or lifts that.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminlockuserid
 */
export const putLock = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v1/admin/lock/{userId}',
  auth: 'admin',
  rateLimit: 'none',
  body: z.object({ locked: z.boolean() }),
  handler: async ({ params, body: { locked } }, context: AdminContext) => {
    targetOfRestriction(context, params.userId);
    await context.accounts.moderation.setLocked(params.userId, locked);
    return { locked };
  },
});
