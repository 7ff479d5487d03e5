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

/**
 * `PUT /_synapse/admin/v1/suspend/{userId}`: the same in Synapse's words, for its tools.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#suspendunsuspend-account
 */
export const putSuspendOfSynapse = endpoint({
  method: 'PUT',
  path: '/_synapse/admin/v1/suspend/{userId}',
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ suspend: z.boolean() }),
  audit: {
    action: 'user.suspend',
    describe: ({ params, body: { suspend } }, context: AdminContext) => ({
      before: { suspended: targetOfRestriction(context, params.userId).isSuspended },
      after: { suspended: suspend },
    }),
  },
  handler: async ({ params: { userId }, body: { suspend } }, context: AdminContext) => {
    await context.accounts.moderation.setSuspended(userId, suspend);
    return { [`user_${userId}_suspended`]: suspend };
  },
});
