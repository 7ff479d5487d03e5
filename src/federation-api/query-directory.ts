import { z } from 'zod';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';
import { residentServers } from '#src/rooms/resident-servers.ts';

/**
 * `GET /_matrix/federation/v1/query/directory`: which room an alias of this server points to.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory
 */
export const queryDirectory = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/query/directory',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ room_alias: queryText() }),
  handler: ({ query }, { directory, reader, serverName }: Pick<Context, 'directory' | 'reader' | 'serverName'>) => {
    const { room_alias: alias } = query;
    if (serverNameOf(alias) !== serverName) throw notFound('That alias is not one of this server.');
    const { roomId } = directory.resolve(alias);
    return { room_id: roomId, servers: residentServers(reader, roomId, serverName) };
  },
});
