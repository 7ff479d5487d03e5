import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf, type UserStreamContext } from '../user-stream.ts';
import { requireRoomId, setAccountData } from './entries.ts';

/**
 * `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`: sets an entry of the user's account data of a room.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype
 */
export const putRoomAccountData = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}',
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    requireSelf(requester, params.userId);
    requireRoomId(params.roomId);
    await setAccountData(context, params.userId, params.roomId, params.type, body);
    return {};
  },
});
