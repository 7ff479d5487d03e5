import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { delegatedName } from './delegated-name.ts';

/**
 * `GET /.well-known/matrix/server`: where other servers find the one of this domain.
 * https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver
 */
export const wellKnownServer = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/server',
  auth: 'none',
  rateLimit: 'federation',
  handler: (_request, { config }: Pick<Context, 'config'>) => {
    const name = delegatedName(config);
    if (name === undefined) throw notFound('This domain does not delegate to another server.');
    return { 'm.server': name };
  },
});
