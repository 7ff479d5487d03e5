/**
 * The rooms of a user. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#list-joined-rooms-of-a-user
 */
import { joinedRoomIds, roomById, roomsOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** `GET /_synapse/admin/v1/users/{userId}/joined_rooms`: of a user of another server, those rooms that this one is in too. */
export const userJoinedRooms = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/{userId}/joined_rooms',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, { reader }: Pick<Context, 'reader'>) => {
    const rooms = [...joinedRoomIds(reader, params.userId)];
    return { joined_rooms: rooms, total: rooms.length };
  },
});

/** `GET /_synapse/admin/v1/users/{userId}/memberships`: what the user is, or was last, in each room. */
export const userMemberships = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/{userId}/memberships',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  handler: ({ params }, { reader }: Pick<Context, 'reader'>) => ({
    memberships: Object.fromEntries(
      Array.from(roomsOf(reader, params.userId)).flatMap(({ room, membership }) => {
        const roomId = roomById(reader, room)?.roomId;
        return roomId === undefined ? [] : [[roomId, membership]];
      }),
    ),
  }),
});
