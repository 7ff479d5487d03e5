import { z } from 'zod';
import { serverNameOf } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { listPublicRooms } from '#src/rooms/public-rooms.ts';

const body = z.object({
  limit: z.number().int().nonnegative().nullish(),
  since: z.string().nullish(),
  filter: z
    .object({
      generic_search_term: z.string().nullish(),
      room_types: z.array(z.string().nullable()).nullish(),
    })
    .nullish(),
  include_all_networks: z.boolean().nullish(),
  third_party_instance_id: z.string().nullish(),
});

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
    checkServer(context, query.server);
    return listPublicRooms(context.reader, { limit: query.limit, since: query.since });
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
  body,
  handler: ({ query, body: request }, context: Context) => {
    checkServer(context, query.server);
    if (request.third_party_instance_id) return { chunk: [], total_room_count_estimate: 0 };
    return listPublicRooms(context.reader, {
      limit: request.limit ?? undefined,
      since: request.since ?? undefined,
      searchTerm: request.filter?.generic_search_term ?? undefined,
      roomTypes: request.filter?.room_types ?? undefined,
    });
  },
});

/** The lists of other servers are asked over federation, which this server does not speak. */
function checkServer({ serverName }: Context, server: string | undefined): void {
  if (server !== undefined && server !== serverName && serverNameOf(`:${server}`) !== serverName) {
    throw new MatrixError('M_NOT_FOUND', `The room list of ${server} cannot be reached from here.`);
  }
}
