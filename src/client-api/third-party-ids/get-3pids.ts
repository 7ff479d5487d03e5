import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/account/3pid`: the addresses and phone numbers of the account: none, since this server keeps none.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid
 */
export const get3pids = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/account/3pid',
  auth: 'user',
  rateLimit: 'read',
  handler: () => ({ threepids: [] }),
});
