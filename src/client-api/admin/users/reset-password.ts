import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { type AdminContext, targetUser } from '../target-user.ts';

/**
 * `POST /_synapse/admin/v1/reset_password/{userId}`: sets another password; unless told otherwise all devices are logged out.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#reset-password
 */
export const resetPassword = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/reset_password/{userId}',
  auth: 'admin',
  may: 'users.write',
  rateLimit: 'none',
  body: z.object({ new_password: z.string(), logout_devices: z.boolean().default(true) }),
  audit: {
    action: 'user.password',
    describe: ({ params, body }, context: AdminContext) => {
      targetUser(context, params.userId);
      return { after: { logout_devices: body.logout_devices } };
    },
  },
  handler: async ({ params, body }, { accounts }: AdminContext) => {
    await accounts.changePassword(params.userId, body.new_password, { removeOtherDevices: body.logout_devices });
    return {};
  },
});
