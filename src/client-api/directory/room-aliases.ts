import { findRoom, membershipOf, stateContent } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/aliases`: the aliases of a room that this server knows, for its members and, where
 * its history is world-readable, for everybody.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases
 */
export const roomAliases = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/aliases',
  auth: 'user',
  rateLimit: 'read',
  handler: ({ params, requester }, { directory, reader }: Context) => {
    const room = findRoom(reader, params.roomId);
    const isMember = room !== undefined && membershipOf(reader, room.id, requester.userId) === 'join';
    const visibility = room && stateContent(reader, room.id, 'm.room.history_visibility')?.['history_visibility'];
    if (!isMember && visibility !== 'world_readable') throw forbidden('You are not in this room.');
    return { aliases: directory.aliasesOf(params.roomId) };
  },
});
