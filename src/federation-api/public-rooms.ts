import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { listPublicRooms, NO_ROOMS, publicRoomsBody } from '#src/rooms/public-rooms.ts';

/**
 * `GET /_matrix/federation/v1/publicRooms`: the list of public rooms of this server.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1publicrooms
 */
export const getPublicRooms = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/publicRooms',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({
    limit: queryInteger().optional(),
    since: queryText().optional(),
    third_party_instance_id: queryText().optional(),
  }),
  handler: ({ query }, { reader }: Pick<Context, 'reader'>) => {
    if (query.third_party_instance_id) return NO_ROOMS;
    return listPublicRooms(reader, { limit: limitOf(query.limit), since: query.since });
  },
});

/**
 * `POST /_matrix/federation/v1/publicRooms`: the same, filtered.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1publicrooms
 */
export const postPublicRooms = endpoint({
  method: 'POST',
  path: '/_matrix/federation/v1/publicRooms',
  auth: 'server',
  rateLimit: 'federation',
  body: publicRoomsBody,
  handler: ({ body }, { reader }: Pick<Context, 'reader'>) => {
    if (body.third_party_instance_id) return NO_ROOMS;
    return listPublicRooms(reader, {
      limit: limitOf(body.limit ?? undefined),
      since: body.since ?? undefined,
      searchTerm: body.filter?.generic_search_term ?? undefined,
      roomTypes: body.filter?.room_types ?? undefined,
    });
  },
});

/** Between servers 0 means as many as there are. */
function limitOf(limit: number | undefined): number | undefined {
  return limit === 0 ? undefined : limit;
}
