import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { deviceAnswer } from './device-answer.ts';

/**
 * `GET /_matrix/client/v3/devices/{deviceId}`: one device of the account.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid
 */
export const getDevice = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/devices/{deviceId}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester, params }, { accounts }: Pick<Context, 'accounts'>) => {
    const device = accounts.devices.get(requester.userId, params.deviceId);
    if (device === undefined) throw notFound('You have no such device.');
    return deviceAnswer(device);
  },
});
