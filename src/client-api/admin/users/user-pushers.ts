import { pushersOf } from '#projections/pushers/projection.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { accountOf } from './account.ts';

/**
 * `GET /_synapse/admin/v1/users/{userId}/pushers`: where a user's notifications go.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-all-pushers
 */
export const userPushers = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/{userId}/pushers',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, context: Pick<Context, 'reader' | 'accounts' | 'serverName'>) => {
    accountOf(context, params.userId);
    const pushers = pushersOf(context.reader, params.userId);
    return { pushers, total: pushers.length };
  },
});
