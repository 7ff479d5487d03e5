import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { findSummary } from '#src/rooms/find-summary.ts';
import { namedRoom, viaQuery } from '../rooms/named-room.ts';

/** Servers that are asked at most, of those that a client or the server of the alias names. */
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
  query: viaQuery,
  handler: async ({ params: { roomIdOrAlias }, query, requester }, context: Context) => {
    const userId = requester?.userId;
    // Strangers do not make this server ask others.
    const { roomId, via } =
      userId === undefined
        ? { roomId: context.directory.roomOf(roomIdOrAlias), via: [] }
        : await namedRoom(context, roomIdOrAlias, query);
    return findSummary(context, { roomId, userId, via: via.slice(0, MAX_VIA) });
  },
});
