import { z } from 'zod';
import { joinedMembers } from '#projections/rooms/queries.ts';
import { isUserId } from '#protocol/identifiers.ts';
import type { PowerLevels } from '#protocol/power-levels.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { invite } from '#src/rooms/membership.ts';
import { roomOf } from './room-of.ts';
import { strongestMember } from './strongest-member.ts';

const POWER_LEVELS = 'm.room.power_levels';
/** By convention. */
const ADMINISTRATOR_LEVEL = 100;

/**
 * `POST /_synapse/admin/v1/rooms/{roomIdOrAlias}/make_room_admin`: gives a user, default the administrator who asks, the power of the most
 * powerful member of this server, in that member's name; who is not in the room is invited.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#make-room-admin-api
 */
export const makeRoomAdmin = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/rooms/{roomIdOrAlias}/make_room_admin',
  auth: 'admin',
  may: 'rooms.write',
  rateLimit: 'none',
  body: z.object({ user_id: z.string().optional() }),
  audit: {
    action: 'room.make_admin',
    describe: ({ params, body, requester }, { directory }: Pick<Context, 'directory'>) => {
      const userId = body.user_id ?? requester.userId;
      if (!isUserId(userId)) throw invalidParam('This is no user id.');
      const roomId = directory.roomOf(params.roomIdOrAlias);
      return { target: { kind: 'room', id: roomId }, roomId, after: { user_id: userId } };
    },
  },
  handler: async ({ params, body, requester }, context: Context) => {
    const { directory, reader, rooms } = context;
    const roomId = directory.roomOf(params.roomIdOrAlias);
    const room = roomOf(context, roomId);
    const userId = body.user_id ?? requester.userId;
    const strongest = await strongestMember(context, room);
    const levels = rooms.powerLevels(roomId);
    if (levels.powerLevelOf(userId) < levels.powerLevelOf(strongest)) {
      const content = rooms.state(roomId, POWER_LEVELS, '')?.content ?? {};
      const users = typeof content['users'] === 'object' ? content['users'] : {};
      const given = levelToGive(levels, strongest);
      await rooms.send(roomId, {
        sender: strongest,
        type: POWER_LEVELS,
        stateKey: '',
        content: { ...content, users: { ...users, [userId]: given } },
      });
    }
    const isIn = Array.from(joinedMembers(reader, room.id)).includes(userId);
    if (!isIn) await invite(context, strongest, roomId, userId);
    return {};
  },
});

/** What somebody can give: their own level; a creator, whose level is above all numbers, that of an administrator. */
function levelToGive(levels: PowerLevels, giver: string): number {
  const own = Number(levels.powerLevelOf(giver));
  return Number.isFinite(own) ? own : Math.max(ADMINISTRATOR_LEVEL, Number(levels.requiredLevel(POWER_LEVELS, true)));
}
