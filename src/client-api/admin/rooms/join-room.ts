import { z } from 'zod';
import { findRoom, stateContent } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryTexts } from '#src/http/query.ts';
import { invite, join } from '#src/rooms/membership.ts';
import { targetUser } from '../target-user.ts';

/**
 * `POST /_synapse/admin/v1/join/{roomIdOrAlias}`: a user of this server joins a room. Where that takes an invite, the administrator has to be
 * a member who may give it.
 * https://element-hq.github.io/synapse/latest/admin_api/room_membership.html
 */
export const joinUserToRoom = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/join/{roomIdOrAlias}',
  auth: 'admin',
  may: 'rooms.write',
  rateLimit: 'none',
  query: z.object({ server_name: queryTexts().optional() }),
  body: z.object({ user_id: z.string() }),
  audit: {
    action: 'room.join',
    describe: ({ params, body }, context: Context) => {
      targetUser(context, body.user_id);
      const roomId = context.directory.roomOf(params.roomIdOrAlias);
      return { target: { kind: 'room', id: roomId }, roomId, after: { user_id: body.user_id } };
    },
  },
  handler: async ({ params, query, body, requester }, context: Context) => {
    const roomId = context.directory.roomOf(params.roomIdOrAlias);
    const room = findRoom(context.reader, roomId);
    const rule = room && stateContent(context.reader, room.id, 'm.room.join_rules')?.['join_rule'];
    if (rule === 'invite' && requester.userId !== body.user_id) {
      await invite(context, requester.userId, roomId, body.user_id);
    }
    await join(context, body.user_id, roomId, { via: query.server_name });
    return { room_id: roomId };
  },
});
