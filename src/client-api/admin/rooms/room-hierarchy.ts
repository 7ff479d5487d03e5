import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger, queryText } from '#src/http/query.ts';
import { MAX_DEPTH, MAX_ROOMS_PER_PAGE, readHierarchy } from '#src/rooms/hierarchy.ts';
import { roomOf } from './room-of.ts';

/**
 * `GET /_synapse/admin/v1/rooms/{roomId}/hierarchy`: the rooms of a space that this server knows, whoever may see them.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#admin-space-hierarchy-endpoint
 */
export const roomHierarchy = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}/hierarchy',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'room.read' },
  rateLimit: 'none',
  query: z.object({
    limit: queryInteger({ min: 1, cap: MAX_ROOMS_PER_PAGE }).optional(),
    max_depth: queryInteger({ cap: MAX_DEPTH }).optional(),
    from: queryText().optional(),
  }),
  handler: ({ params, query, requester }, context: Pick<Context, 'reader' | 'serverName' | 'remoteSpaces'>) => {
    const { roomId } = roomOf(context, params.roomId);
    return readHierarchy(context, {
      roomId,
      userId: requester.userId,
      seesAll: true,
      suggestedOnly: false,
      maxDepth: query.max_depth,
      limit: query.limit,
      from: query.from,
    });
  },
});
