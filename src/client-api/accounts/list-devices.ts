import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { deviceAnswer } from './device-answer.ts';

/**
 * `GET /_matrix/client/v3/devices`: the devices of the account.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices
 */
export const listDevices = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/devices',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester }, { accounts }: Pick<Context, 'accounts'>) => ({
    devices: accounts.devices.list(requester.userId).map(deviceAnswer),
  }),
});
