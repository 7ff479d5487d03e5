import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';

/**
 * `GET /_matrix/federation/v1/openid/userinfo`: whose OpenID token this is. Anybody who has one may ask.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo
 */
export const openIdUserinfo = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/openid/userinfo',
  auth: 'none',
  rateLimit: 'federation',
  query: z.object({ access_token: queryText().optional() }),
  handler: ({ query }, { openIdTokens }: Pick<Context, 'openIdTokens'>) => {
    if (query.access_token === undefined) throw new MatrixError('M_MISSING_TOKEN');
    const userId = openIdTokens.verify(query.access_token);
    if (userId === undefined) throw new MatrixError('M_UNKNOWN_TOKEN');
    return { sub: userId };
  },
});
