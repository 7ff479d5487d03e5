/**
 * Users by what other services know them by. This server keeps no addresses and no identities of other providers, so there is never one.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#find-a-user-based-on-their-id-in-an-auth-provider
 */
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/** `GET /_synapse/admin/v1/auth_providers/{provider}/users/{externalId}`. */
export const userOfProvider = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/auth_providers/{provider}/users/{externalId}',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: () => {
    throw notFound('No user of this server is known by that.');
  },
});

/** `GET /_synapse/admin/v1/threepid/{medium}/users/{address}`. */
export const userOfAddress = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/threepid/{medium}/users/{address}',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: () => {
    throw notFound('No user of this server is known by that.');
  },
});
