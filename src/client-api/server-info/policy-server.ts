import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /.well-known/matrix/policy_server`: the key of this server as a policy server, for rooms to name in `m.room.policy`.
 * https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixpolicy_server
 */
export const wellKnownPolicyServer = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/policy_server',
  auth: 'none',
  rateLimit: 'read',
  handler: (_request, { policyService }: Pick<Context, 'policyService'>) => {
    if (policyService === undefined) throw notFound('This is no policy server.');
    return { public_keys: { ed25519: policyService.publicKey } };
  },
});
