import { z } from 'zod';
import { OPENID_TOKEN_LIFETIME_MS } from '#src/accounts/openid-tokens.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf } from '../user-stream.ts';

/**
 * `POST /_matrix/client/v3/user/{userId}/openid/request_token`: a token with which another service can ask this server who
 * the user is, and nothing else.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token
 */
export const requestOpenIdToken = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/user/{userId}/openid/request_token',
  auth: 'user',
  rateLimit: 'write',
  body: z.looseObject({}),
  handler: ({ params, requester }, { openIdTokens, serverName }: Pick<Context, 'openIdTokens' | 'serverName'>) => {
    requireSelf(requester, params.userId);
    return {
      access_token: openIdTokens.issue(requester.userId),
      expires_in: OPENID_TOKEN_LIFETIME_MS / 1000,
      matrix_server_name: serverName,
      token_type: 'Bearer',
    };
  },
});
