import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `PUT /_matrix/client/v3/devices/{deviceId}`: renames a device of the account.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid
 */
export const putDevice = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/devices/{deviceId}',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({ display_name: z.string().optional() }),
  handler: async ({ requester, params, body }, { accounts }: Pick<Context, 'accounts'>) => {
    const { userId } = requester;
    if (accounts.devices.get(userId, params.deviceId) === undefined) throw notFound('You have no such device.');
    if (body.display_name !== undefined) await accounts.devices.rename(userId, params.deviceId, body.display_name);
    return {};
  },
});
