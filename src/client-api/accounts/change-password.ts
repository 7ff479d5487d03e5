import { z } from 'zod';
import { checkPassword } from '#src/accounts/credentials.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { authSchema, confirmedByPassword } from './interactive.ts';

/**
 * `POST /_matrix/client/v3/account/password`: another password for the account.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword
 */
export const changePassword = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/account/password',
  auth: 'optional',
  rateLimit: 'login',
  body: z.object({ auth: authSchema, new_password: z.string(), logout_devices: z.boolean().default(true) }),
  handler: ({ body, requester }, { accounts }: Pick<Context, 'accounts'>) => {
    checkPassword(body.new_password);
    const operation = 'POST /_matrix/client/v3/account/password';
    return confirmedByPassword(accounts, { operation, body, requester }, async (userId) => {
      await accounts.changePassword(userId, body.new_password, {
        removeOtherDevices: body.logout_devices,
        keptDevice: requester?.deviceId,
      });
      return {};
    });
  },
});
