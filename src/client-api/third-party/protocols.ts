import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/thirdparty/protocols`: the networks that are bridged here: none without application services.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocols
 */
export const thirdPartyProtocols = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/protocols',
  aliases: ['/_matrix/client/unstable/thirdparty/protocols'],
  auth: 'user',
  rateLimit: 'read',
  handler: () => ({}),
});
