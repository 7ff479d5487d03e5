import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /_matrix/client/v3/directory/list/room/{roomId}`: whether a room is in the list of public rooms.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid
 */
export const getVisibility = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/directory/list/room/{roomId}',
  auth: 'none',
  rateLimit: 'read',
  handler: ({ params }, { directory, rooms }: Context) => {
    if (!rooms.knows(params.roomId)) throw notFound('This server does not know the room.');
    return { visibility: directory.isListed(params.roomId) ? 'public' : 'private' };
  },
});
