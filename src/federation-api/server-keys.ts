import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/key/v2/server`: the keys that this server signs with, and those that it signed with before. Older servers put
 * the id of the key that they look for behind it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server
 */
export const getServerKeys = endpoint({
  method: 'GET',
  path: '/_matrix/key/v2/server',
  aliases: ['/_matrix/key/v2/server/{keyId}'],
  auth: 'none',
  rateLimit: 'federation',
  handler: (_request, { federation }: Pick<Context, 'federation'>) => federation.ownKeys.answer(),
});
