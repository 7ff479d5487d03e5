import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { forget as forgetRoom } from '#src/rooms/forget.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/forget`: takes a room that was left out of the user's history.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget
 */
export const forget = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/forget',
  auth: 'guest',
  rateLimit: 'write',
  handler: async ({ params, requester }, context: Context) => {
    const membership = context.rooms.state(params.roomId, 'm.room.member', requester.userId)?.content['membership'];
    if (membership === undefined) throw new MatrixError('M_NOT_FOUND', 'You were never in this room.');
    if (membership !== 'leave' && membership !== 'ban') {
      throw new MatrixError('M_UNKNOWN', 'Leave the room before you forget it.', { status: 400 });
    }
    await forgetRoom(context, requester.userId, params.roomId);
    return {};
  },
});
