import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `POST /_matrix/client/v3/logout/all`: ends all sessions of the account, and with them its devices.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall
 */
export const logoutAll = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/logout/all',
  auth: 'guest',
  rateLimit: 'write',
  allowLocked: true,
  handler: async ({ requester, ip }, { accounts, audit }: Pick<Context, 'accounts' | 'audit'>) => {
    const target = { kind: 'user', id: requester.userId } as const;
    await audit.record({ actor: actorOf(requester), action: 'session.end_all', target, ip });
    await accounts.devices.removeAll(requester.userId);
    return {};
  },
});
