import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryFlag } from '#src/http/query.ts';
import { hierarchyForServer } from '#src/rooms/hierarchy-for-server.ts';

/**
 * `GET /_matrix/federation/v1/hierarchy/{roomId}`: a space and the rooms in it, as far as the asking server may know of them.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid
 */
export const getHierarchy = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/hierarchy/{roomId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ suggested_only: queryFlag().optional() }),
  handler: ({ params, query, requester }, context: Pick<Context, 'reader' | 'serverName'>) =>
    hierarchyForServer(context, requester.origin, params.roomId, query.suggested_only === true),
});
