import { z } from 'zod';
import { MAX_DEVICES_PER_USER } from '#src/accounts/sessions.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { authSchema, type ConfirmingContext, confirmedByPassword } from './interactive.ts';

/**
 * `POST /_matrix/client/v3/delete_devices`: removes several devices of the account, with their sessions.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices
 */
export const deleteDevices = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/delete_devices',
  auth: 'user',
  rateLimit: 'login',
  body: z.object({ auth: authSchema, devices: z.array(z.string()).max(MAX_DEVICES_PER_USER) }),
  handler: ({ requester, body, ip }, context: ConfirmingContext & Pick<Context, 'audit'>) => {
    const { accounts, audit } = context;
    const operation = 'POST /_matrix/client/v3/delete_devices';
    return confirmedByPassword(context, { operation, body, requester, ip }, async (userId) => {
      const before = { device_ids: body.devices };
      const target = { kind: 'user', id: userId } as const;
      await audit.record({ actor: actorOf(requester), action: 'device.delete', target, ip, before });
      await accounts.devices.remove(userId, body.devices);
      return {};
    });
  },
});
