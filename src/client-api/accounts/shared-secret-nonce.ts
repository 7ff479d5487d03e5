import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { sharedSecret } from './shared-secret-register.ts';

/**
 * `GET /_synapse/admin/v1/register`: a nonce for registering with the server's shared secret.
 * https://element-hq.github.io/synapse/latest/admin_api/register_api.html
 */
export const sharedSecretNonce = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/register',
  auth: 'none',
  rateLimit: 'register',
  handler: (_request, { accounts, config }: Pick<Context, 'accounts' | 'config'>) => {
    sharedSecret(config);
    return { nonce: accounts.nonces.issue() };
  },
});
