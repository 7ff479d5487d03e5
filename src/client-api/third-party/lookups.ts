import { z } from 'zod';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { type MatrixError, notFound } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';

function noProtocol(): MatrixError {
  return notFound('No network of this name is bridged here.');
}

/**
 * `GET /_matrix/client/v3/thirdparty/protocol/{protocol}`: what is needed to find something in a bridged network.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol
 */
export const thirdPartyProtocol = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/protocol/{protocol}',
  auth: 'user',
  rateLimit: 'read',
  handler: () => {
    throw noProtocol();
  },
});

/**
 * `GET /_matrix/client/v3/thirdparty/location/{protocol}`: rooms of a bridged network.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartylocationprotocol
 */
export const thirdPartyLocations = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/location/{protocol}',
  auth: 'user',
  rateLimit: 'read',
  handler: () => {
    throw noProtocol();
  },
});

/**
 * `GET /_matrix/client/v3/thirdparty/user/{protocol}`: people of a bridged network.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyuserprotocol
 */
export const thirdPartyUsers = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/user/{protocol}',
  auth: 'user',
  rateLimit: 'read',
  handler: () => {
    throw noProtocol();
  },
});

/**
 * `GET /_matrix/client/v3/thirdparty/location`: what an alias is in bridged networks.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartylocation
 */
export const thirdPartyLocationOfAlias = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/location',
  auth: 'user',
  rateLimit: 'read',
  query: z.object({ alias: queryText() }),
  handler: () => jsonTextAnswer('[]'),
});

/**
 * `GET /_matrix/client/v3/thirdparty/user`: who a user is in bridged networks.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyuser
 */
export const thirdPartyUserOfId = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/user',
  auth: 'user',
  rateLimit: 'read',
  query: z.object({ userid: queryText() }),
  handler: () => jsonTextAnswer('[]'),
});
