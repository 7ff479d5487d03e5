import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf, type UserStreamContext } from '../user-stream.ts';
import { requireRoomId } from './entries.ts';
import { removeTag } from './tags.ts';

/**
 * `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`: takes a tag off a room.
 * https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag
 */
export const deleteTag = endpoint({
  method: 'DELETE',
  path: '/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}',
  auth: 'guest',
  rateLimit: 'write',
  handler: async ({ params, requester }, context: UserStreamContext) => {
    requireSelf(requester, params.userId);
    requireRoomId(params.roomId);
    await removeTag(context, params.userId, params.roomId, params.tag);
    return {};
  },
});
