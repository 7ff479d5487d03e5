import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /.well-known/matrix/policy_server`: the key of a policy server. This server is none.
 * https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixpolicy_server
 */
export const wellKnownPolicyServer = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/policy_server',
  auth: 'none',
  rateLimit: 'read',
  handler: () => {
    throw notFound('This is no policy server.');
  },
});
