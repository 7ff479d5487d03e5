import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';

/**
 * `GET /_matrix/client/v1/register/m.login.registration_token/validity`: whether a registration token is good now.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity
 */
export const registrationTokenValidity = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/register/m.login.registration_token/validity',
  auth: 'none',
  rateLimit: 'login',
  query: z.object({ token: queryText() }),
  handler: ({ query: { token } }, { accounts, config }: Pick<Context, 'accounts' | 'config'>) => {
    if (!config.registration.open) throw forbidden('Registration is not open here.');
    return { valid: accounts.registrationTokens.isValid(token) };
  },
});
