import { z } from 'zod';
import { type Room, roomById, roomsOf } from '#projections/rooms/queries.ts';
import { isUserId } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryText } from '#src/http/query.ts';

/** Rooms of one answer. */
const ROOMS_PER_PAGE = 100;

/**
 * `GET /_matrix/client/v1/mutual_rooms`: the rooms that the user shares with another.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mutual_rooms
 */
export const mutualRooms = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/mutual_rooms',
  aliases: ['/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms'],
  auth: 'user',
  rateLimit: 'read',
  query: z.object({ user_id: queryText(), from: queryText().optional() }),
  handler: ({ query: { user_id: other, from }, requester }, { reader }: Context) => {
    if (!isUserId(other)) throw invalidParam('user_id is not the id of a user.');
    if (other === requester.userId) throw invalidParam('You share all your rooms with yourself.');
    const after = from === undefined || from === '' ? -1 : placeOf(from);
    const theirs = new Set(joinedRooms({ reader }, other));
    const shared = joinedRooms({ reader }, requester.userId).filter((room) => theirs.has(room));
    const page = shared.filter((room) => room > after).slice(0, ROOMS_PER_PAGE);
    const last = page.at(-1);
    const isMore = last !== undefined && last !== shared.at(-1);
    return {
      joined: page.map((room) => roomById(reader, room)?.roomId).filter((roomId) => roomId !== undefined),
      count: shared.length,
      ...(isMore && { next_batch: `m${last}` }),
    };
  },
});

/** Internal ids of the rooms that somebody is in, in order. */
function joinedRooms({ reader }: Pick<Context, 'reader'>, userId: string): Room['id'][] {
  return Array.from(roomsOf(reader, userId)).flatMap(({ room, membership }) => (membership === 'join' ? [room] : []));
}

function placeOf(token: string): number {
  if (!/^m\d{1,15}$/.test(token)) throw invalidParam('from is not a token of this list.');
  return Number(token.slice(1));
}
