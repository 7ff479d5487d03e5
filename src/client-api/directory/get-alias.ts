import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/directory/room/{roomAlias}`: which room an alias points to.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias
 */
export const getAlias = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/directory/room/{roomAlias}',
  auth: 'none',
  rateLimit: 'read',
  handler: ({ params }, { directory, serverName }: Context) => ({
    room_id: directory.resolve(params.roomAlias).roomId,
    servers: [serverName],
  }),
});
