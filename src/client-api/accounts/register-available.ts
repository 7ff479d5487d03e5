import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';

/**
 * `GET /_matrix/client/v3/register/available`: whether a user name is free.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable
 */
export const registerAvailable = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/register/available',
  auth: 'none',
  rateLimit: 'read',
  query: z.object({ username: queryText() }),
  handler: ({ query: { username } }, { accounts, config }: Pick<Context, 'accounts' | 'config'>) => {
    if (!config.registration.open) throw forbidden('Registration is not open here.');
    accounts.checkUsername(username);
    return { available: true };
  },
});
