import { z } from 'zod';
import { isServerName } from '#protocol/server-name.ts';
import type { Context } from '#src/context.ts';
import { remotePublicRooms } from '#src/federation/remote-queries.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { listPublicRooms, NO_ROOMS, publicRoomsBody } from '#src/rooms/public-rooms.ts';

/**
 * `GET /_matrix/client/v3/publicRooms`: the list of public rooms of this server.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms
 */
export const getPublicRooms = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/publicRooms',
  auth: 'none',
  rateLimit: 'read',
  query: z.object({
    limit: queryInteger().optional(),
    since: queryText().optional(),
    server: queryText().optional(),
  }),
  handler: ({ query }, context: Context) => {
    const other = otherServer(context, query.server);
    if (other !== undefined) {
      return remotePublicRooms(context.federation.client, other, {
        limit: query.limit,
        since: query.since || undefined,
      });
    }
    return listPublicRooms(context.reader, { limit: query.limit, since: query.since || undefined });
  },
});

/**
 * `POST /_matrix/client/v3/publicRooms`: the same, filtered.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms
 */
export const postPublicRooms = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/publicRooms',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({ server: queryText().optional() }),
  body: publicRoomsBody,
  handler: ({ query, body: request }, context: Context) => {
    const other = otherServer(context, query.server);
    if (other !== undefined) return remotePublicRooms(context.federation.client, other, request);
    if (request.third_party_instance_id) return NO_ROOMS;
    return listPublicRooms(context.reader, {
      limit: request.limit ?? undefined,
      since: request.since || undefined,
      searchTerm: request.filter?.generic_search_term ?? undefined,
      roomTypes: request.filter?.room_types ?? undefined,
    });
  },
});

/** The server whose list is asked for, if it is another than this one. @throws {MatrixError} `M_INVALID_PARAM` for no server. */
function otherServer({ serverName }: Pick<Context, 'serverName'>, server: string | undefined): string | undefined {
  if (!server || server === serverName) return undefined;
  if (!isServerName(server)) throw invalidParam(`${server} is not a server name.`);
  return server;
}
