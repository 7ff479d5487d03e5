import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { authSchema, confirmedByPassword } from './interactive.ts';

/**
 * `DELETE /_matrix/client/v3/devices/{deviceId}`: removes a device of the account, with its session.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid
 */
export const deleteDevice = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/devices/{deviceId}',
  auth: 'user',
  rateLimit: 'login',
  body: z.object({ auth: authSchema }),
  handler: ({ requester, params, body }, { accounts }: Pick<Context, 'accounts'>) => {
    const operation = `DELETE /_matrix/client/v3/devices/${params.deviceId}`;
    return confirmedByPassword(accounts, { operation, body, requester }, async (userId) => {
      await accounts.devices.remove(userId, [params.deviceId]);
      return {};
    });
  },
});
