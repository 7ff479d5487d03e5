import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryFlag, queryInteger, queryText } from '#src/http/query.ts';
import { MAX_DEPTH, MAX_ROOMS_PER_PAGE, readHierarchy } from '#src/rooms/hierarchy.ts';

/**
 * `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`: the rooms of a space, and of the spaces in it.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy
 */
export const hierarchy = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/{roomId}/hierarchy',
  aliases: ['/_matrix/client/unstable/org.matrix.msc2946/rooms/{roomId}/hierarchy'],
  auth: 'user',
  rateLimit: 'read',
  query: z.object({
    suggested_only: queryFlag().optional(),
    limit: queryInteger({ min: 1, cap: MAX_ROOMS_PER_PAGE }).optional(),
    max_depth: queryInteger({ cap: MAX_DEPTH }).optional(),
    from: queryText().optional(),
  }),
  handler: ({ params, query, requester }, context: Context) =>
    readHierarchy(context, {
      roomId: params.roomId,
      userId: requester.userId,
      suggestedOnly: query.suggested_only,
      maxDepth: query.max_depth,
      limit: query.limit,
      from: query.from,
    }),
});
