/**
 * Whether users of this server may come into a room. The shapes are Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#block-room-api
 */
import { z } from 'zod';
import { blockerOf } from '#projections/directory/projection.ts';
import { isRoomId } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';

const PATH = '/_synapse/admin/v1/rooms/{roomId}/block';

/** `GET …/block`. */
export const getRoomBlock = endpoint({
  method: 'GET',
  path: PATH,
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'room.read' },
  rateLimit: 'none',
  handler: ({ params }, { reader }: Pick<Context, 'reader'>) => {
    const by = blockerOf(reader, params.roomId);
    return by === undefined ? { block: false } : { block: true, user_id: by };
  },
});

/** `PUT …/block`: of any room, also one that this server does not know. */
export const putRoomBlock = endpoint({
  method: 'PUT',
  path: PATH,
  auth: 'admin',
  may: 'rooms.write',
  rateLimit: 'none',
  body: z.object({ block: z.boolean() }),
  audit: {
    action: 'room.block',
    describe: ({ params, body }, { reader }: Pick<Context, 'reader'>) => {
      if (!isRoomId(params.roomId)) throw invalidParam('This is no room id.');
      return { before: { block: blockerOf(reader, params.roomId) !== undefined }, after: body };
    },
  },
  handler: async ({ params, body, requester }, { directory }: Pick<Context, 'directory'>) => {
    await directory.setBlocked(params.roomId, body.block, requester.userId);
    return { block: body.block };
  },
});
