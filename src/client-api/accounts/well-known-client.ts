import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /.well-known/matrix/client`: where clients of this server name find it.
 * https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixclient
 */
export const wellKnownClient = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/client',
  auth: 'none',
  rateLimit: 'read',
  handler: (_request, { config }: Pick<Context, 'config'>) => ({
    'm.homeserver': { base_url: config.public_base_url },
  }),
});
