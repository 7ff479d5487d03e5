import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf } from '../user-stream.ts';
import { requireRoomId } from './entries.ts';
import { tagsOf } from './tags.ts';

/**
 * `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`: the tags that the user gave a room.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags
 */
export const getTags = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader }: Pick<Context, 'reader'>) => {
    requireSelf(requester, params.userId);
    requireRoomId(params.roomId);
    return { tags: tagsOf(reader, params.userId, params.roomId) };
  },
});
