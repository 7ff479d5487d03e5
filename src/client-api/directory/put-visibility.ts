import { z } from 'zod';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, notFound } from '#src/http/errors.ts';
import { ADMINISTRATOR } from '#src/roles/standing.ts';

/**
 * `PUT /_matrix/client/v3/directory/list/room/{roomId}`: puts a room on the list of public rooms, or takes it off: for
 * members who may set its canonical alias, and for administrators.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid
 */
export const putVisibility = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/directory/list/room/{roomId}',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ visibility: z.enum(['public', 'private']).default('public') }),
  handler: async ({ params, body, requester, ip }, { directory, rooms, audit }: Context) => {
    if (!rooms.knows(params.roomId)) throw notFound('This server does not know the room.');
    const isMember = rooms.state(params.roomId, 'm.room.member', requester.userId)?.content['membership'] === 'join';
    const levels = rooms.powerLevels(params.roomId);
    const mayList = levels.powerLevelOf(requester.userId) >= levels.requiredLevel('m.room.canonical_alias', true);
    if (!(isMember && mayList)) {
      if (!requester.isAdmin) throw forbidden('Only members who may set the canonical alias of a room may list it.');
      const target = { kind: 'room', id: params.roomId } as const;
      const entry = { actor: actorOf(requester, ADMINISTRATOR), target, roomId: params.roomId, ip };
      await audit.record({ ...entry, action: 'room.publish', after: body });
    }
    await directory.setListed(params.roomId, body.visibility === 'public');
    return {};
  },
});
