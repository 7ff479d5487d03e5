import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { requireSelf } from '../user-stream.ts';
import { accountDataJson, requireRoomId } from './entries.ts';

/**
 * `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`: an entry of the user's account data of a room.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype
 */
export const getRoomAccountData = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader }: Pick<Context, 'reader'>) => {
    requireSelf(requester, params.userId);
    requireRoomId(params.roomId);
    const json = accountDataJson(reader, params.userId, params.type, params.roomId);
    if (json === undefined) throw notFound('The room has no account data of this type.');
    return jsonTextAnswer(json);
  },
});
