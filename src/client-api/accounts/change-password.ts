import { z } from 'zod';
import { checkPassword } from '#src/accounts/credentials.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { authSchema, type ConfirmingContext, confirmedByPassword } from './interactive.ts';

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
  handler: ({ body, requester, ip }, context: ConfirmingContext & Pick<Context, 'audit'>) => {
    const { accounts, audit } = context;
    checkPassword(body.new_password);
    const operation = 'POST /_matrix/client/v3/account/password';
    return confirmedByPassword(context, { operation, body, requester, ip }, async (userId) => {
      await audit.record({
        actor: requester === undefined ? { kind: 'user', userId } : actorOf(requester),
        action: 'user.password',
        target: { kind: 'user', id: userId },
        ip,
        after: { logout_devices: body.logout_devices },
      });
      await accounts.changePassword(userId, body.new_password, {
        removeOtherDevices: body.logout_devices,
        keptDevice: requester?.deviceId,
      });
      return {};
    });
  },
});
