import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/login`: the ways to log in.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login
 */
export const loginFlows = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/login',
  auth: 'none',
  rateLimit: 'read',
  handler: () => ({ flows: [{ type: 'm.login.password' }] }),
});
