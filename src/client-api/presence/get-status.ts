import { membershipOf, roomsOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { presenceContent } from '#src/sync/presence-news.ts';

/**
 * `GET /_matrix/client/v3/presence/{userId}/status`: how somebody is whom the user shares a room with, or the user.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3presenceuseridstatus
 */
export const getStatus = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/presence/{userId}/status',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { presence, reader, clock }: Pick<Context, 'presence' | 'reader' | 'clock'>) => {
    const { userId } = params;
    if (userId !== requester.userId && !sharesRoom(reader, requester.userId, userId)) {
      // The same for users that there are not, so that nobody can find out who there is.
      throw forbidden('You share no room with this user.');
    }
    return presenceContent(presence.of(userId), clock());
  },
});

function sharesRoom(reader: Context['reader'], userId: string, other: string): boolean {
  for (const { room, membership } of roomsOf(reader, userId)) {
    if (membership === 'join' && membershipOf(reader, room, other) === 'join') return true;
  }
  return false;
}
