import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `POST /_matrix/client/v3/logout`: ends the session, and with it the device.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout
 */
export const logout = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/logout',
  auth: 'guest',
  rateLimit: 'write',
  allowLocked: true,
  handler: async ({ requester }, { accounts }: Pick<Context, 'accounts'>) => {
    if (requester.deviceId !== undefined) await accounts.devices.remove(requester.userId, [requester.deviceId]);
    return {};
  },
});
