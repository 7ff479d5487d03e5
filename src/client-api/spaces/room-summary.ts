import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { findSummary } from '#src/rooms/find-summary.ts';

/** Servers that a client may name. */
const MAX_VIA = 20;

/**
 * `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`: what somebody may know of a room before they join, also without
 * an account.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias
 */
export const getRoomSummary = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/room_summary/{roomIdOrAlias}',
  aliases: [
    '/_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}',
    '/_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary',
  ],
  auth: 'optional',
  rateLimit: 'read',
  query: z.object({ via: z.union([z.string(), z.array(z.string())]).optional() }),
  handler: ({ params, query, requester }, context: Context) =>
    findSummary(context, {
      roomIdOrAlias: params.roomIdOrAlias,
      userId: requester?.userId,
      via: [query.via ?? []].flat().slice(0, MAX_VIA),
    }),
});
