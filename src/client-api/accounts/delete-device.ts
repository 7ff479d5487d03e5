import { z } from 'zod';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { authSchema, type ConfirmingContext, confirmedByPassword } from './interactive.ts';

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
  handler: ({ requester, params, body, ip }, context: ConfirmingContext & Pick<Context, 'audit'>) => {
    const { accounts, audit } = context;
    const operation = `DELETE /_matrix/client/v3/devices/${params.deviceId}`;
    return confirmedByPassword(context, { operation, body, requester, ip }, async (userId) => {
      const before = { device_ids: [params.deviceId] };
      const target = { kind: 'user', id: userId } as const;
      await audit.record({ actor: actorOf(requester), action: 'device.delete', target, ip, before });
      await accounts.devices.remove(userId, [params.deviceId]);
      return {};
    });
  },
});
