import { z } from 'zod';
import { findRoom, membershipOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { DEFAULT_TYPING_MS } from '#src/ephemeral/typing.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { requireSelf } from '../user-stream.ts';

/**
 * `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`: the user begins or stops typing in a room.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid
 */
export const putTyping = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/{roomId}/typing/{userId}',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({ typing: z.boolean(), timeout: z.int().min(0).optional() }),
  handler: ({ params, body, requester }, { reader, typing }: Pick<Context, 'reader' | 'typing'>) => {
    const { roomId, userId } = params;
    requireSelf(requester, userId);
    const room = findRoom(reader, roomId);
    if (room === undefined || membershipOf(reader, room.id, userId) !== 'join') {
      throw forbidden('You are not in this room.');
    }
    if (body.typing) typing.start(roomId, userId, body.timeout ?? DEFAULT_TYPING_MS);
    else typing.stop(roomId, userId);
    return {};
  },
});
