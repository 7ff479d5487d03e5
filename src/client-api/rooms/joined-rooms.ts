import { roomById, roomsOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/client/v3/joined_rooms`: the rooms that the user is in.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms
 */
export const joinedRooms = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/joined_rooms',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ requester }, context: Context) => {
    const rooms: string[] = [];
    for (const { room, membership } of roomsOf(context.reader, requester.userId)) {
      const roomId = membership === 'join' ? roomById(context.reader, room)?.roomId : undefined;
      if (roomId !== undefined) rooms.push(roomId);
    }
    return { joined_rooms: rooms };
  },
});
