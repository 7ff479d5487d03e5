import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetOfRestriction } from './target-user.ts';

/**
 * `PUT /_matrix/client/v1/admin/suspend/{userId}`: suspends an account, or lifts that.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminsuspenduserid
 */
export const putSuspend = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v1/admin/suspend/{userId}',
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ suspended: z.boolean() }),
  audit: {
    action: 'user.suspend',
    describe: ({ params, body: { suspended } }, context: AdminContext) => ({
      before: { suspended: targetOfRestriction(context, params.userId).isSuspended },
      after: { suspended },
    }),
  },
  handler: async ({ params, body: { suspended } }, context: AdminContext) => {
    await context.accounts.moderation.setSuspended(params.userId, suspended);
    return { suspended };
  },
});
