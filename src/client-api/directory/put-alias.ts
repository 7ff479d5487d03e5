import { z } from 'zod';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden } from '#src/http/errors.ts';
import { ADMINISTRATOR } from '#src/roles/standing.ts';

/**
 * `PUT /_matrix/client/v3/directory/room/{roomAlias}`: points a new alias to a room that the user is in.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias
 */
export const putAlias = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/directory/room/{roomAlias}',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ room_id: z.string() }),
  handler: async ({ params, body, requester, ip }, { directory, rooms, audit }: Context) => {
    directory.checkFree(params.roomAlias, 'M_UNKNOWN');
    const isMember =
      rooms.knows(body.room_id) &&
      rooms.state(body.room_id, 'm.room.member', requester.userId)?.content['membership'] === 'join';
    if (!isMember) {
      if (!requester.isAdmin) throw forbidden('Only members of a room may give it an alias.');
      const target = { kind: 'room', id: body.room_id } as const;
      const entry = { actor: actorOf(requester, ADMINISTRATOR), target, roomId: body.room_id, ip };
      await audit.record({ ...entry, action: 'room.alias', after: { alias: params.roomAlias } });
    }
    await directory.add(params.roomAlias, body.room_id, requester.userId);
    return {};
  },
});
