import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { requireSelf, type UserStreamContext } from '../user-stream.ts';
import { requireRoomId } from './entries.ts';
import { setTag } from './tags.ts';

/**
 * `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`: gives a room a tag.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag
 */
export const putTag = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}',
  auth: 'guest',
  rateLimit: 'write',
  body: z.looseObject({ order: z.number().optional() }).catchall(z.json()),
  handler: async ({ params, body, requester }, context: UserStreamContext) => {
    requireSelf(requester, params.userId);
    requireRoomId(params.roomId);
    await setTag(context, params.userId, params.roomId, params.tag, body);
    return {};
  },
});
