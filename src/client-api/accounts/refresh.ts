import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { tokenMembers } from './answers.ts';

/**
 * `POST /_matrix/client/v3/refresh`: new tokens for a refresh token, which is all the authentication it takes.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh
 */
export const refresh = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/refresh',
  auth: 'none',
  rateLimit: 'write',
  body: z.object({ refresh_token: z.string() }),
  handler: async ({ body }, { accounts }: Pick<Context, 'accounts'>) =>
    tokenMembers(await accounts.sessions.refresh(body.refresh_token)),
});
