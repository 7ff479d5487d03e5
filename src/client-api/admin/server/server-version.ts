import { endpoint } from '#src/http/endpoint.ts';
import { STELE_VERSION } from '#src/version.ts';

/**
 * `GET /_synapse/admin/v1/server_version`: tools ask for it before anybody is logged in.
 * https://element-hq.github.io/synapse/latest/admin_api/version_api.html
 */
export const serverVersion = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/server_version',
  auth: 'none',
  rateLimit: 'read',
  handler: () => ({ server_version: `Stele ${STELE_VERSION}` }),
});
