import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf, type UserStreamContext } from '../user-stream.ts';
import { setAccountData } from './entries.ts';

/**
 * `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`: sets an entry of the user's global account data.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype
 */
export const putAccountData = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/user/{userId}/account_data/{type}',
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    requireSelf(requester, params.userId);
    await setAccountData(context, params.userId, undefined, params.type, body);
    return {};
  },
});
