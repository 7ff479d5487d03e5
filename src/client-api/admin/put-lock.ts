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
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ locked: z.boolean() }),
  audit: {
    action: 'user.lock',
    describe: ({ params, body: { locked } }, context: AdminContext) => ({
      before: { locked: targetOfRestriction(context, params.userId).isLocked },
      after: { locked },
    }),
  },
  handler: async ({ params, body: { locked } }, context: AdminContext) => {
    await context.accounts.moderation.setLocked(params.userId, locked);
    return { locked };
  },
});
