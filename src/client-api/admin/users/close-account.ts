import { z } from 'zod';
import { type ClosingContext, closeForEver } from '#src/client-api/accounts/close.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetUser } from '../target-user.ts';

/**
 * `POST /_synapse/admin/v1/deactivate/{userId}`: closes an account for ever; with `erase`, as its owner can ask for it, too.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#deactivate-account
 */
export const closeAccount = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/deactivate/{userId}',
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ erase: z.boolean().default(false) }),
  audit: {
    action: 'user.deactivate',
    describe: ({ params, body }, context: AdminContext) => {
      const { isErased } = targetUser(context, params.userId);
      return { before: { deactivated: false, erased: isErased }, after: { deactivated: true, erased: body.erase } };
    },
  },
  handler: async ({ params, body }, context: ClosingContext) => ({
    id_server_unbind_result: await closeForEver(context, params.userId, { isErased: body.erase }),
  }),
});
