import { endpoint } from '#src/http/endpoint.ts';
import { STELE_VERSION } from '#src/version.ts';

/**
 * `GET /_matrix/federation/v1/version`: what this server is.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version
 */
export const getVersion = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/version',
  auth: 'none',
  rateLimit: 'federation',
  handler: () => ({ server: { name: 'Stele', version: STELE_VERSION } }),
});
