import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';

/**
 * `GET /_synapse/admin/v1/username_available`: whether a name is free, also where nobody may register.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#check-username-availability
 */
export const usernameAvailable = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/username_available',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.list', describe: ({ query }) => ({ after: { username: query.username } }) },
  rateLimit: 'none',
  query: z.object({ username: queryText() }),
  handler: ({ query }, { accounts }: Pick<Context, 'accounts'>) => {
    accounts.checkUsername(query.username);
    return { available: true };
  },
});
