import { eventById, headOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { roomOf } from './room-of.ts';

/**
 * `GET /_synapse/admin/v1/rooms/{roomIdOrAlias}/forward_extremities`: the ends of a room's graph, which the next event will follow.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#check-for-forward-extremities
 */
export const forwardExtremities = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomIdOrAlias}/forward_extremities',
  auth: 'admin',
  may: 'rooms.read',
  audit: {
    action: 'room.read',
    describe: ({ params }, { directory }: Pick<Context, 'directory'>) => {
      const roomId = directory.roomOf(params.roomIdOrAlias);
      return { target: { kind: 'room', id: roomId }, roomId };
    },
  },
  rateLimit: 'none',
  handler: ({ params }, context: Pick<Context, 'reader' | 'directory'>) => {
    const room = roomOf(context, context.directory.roomOf(params.roomIdOrAlias));
    const results = (headOf(context.reader, room.id)?.extremities ?? []).map((eventId) => {
      const event = eventById(context.reader, eventId);
      return {
        event_id: eventId,
        state_group: event?.stateVersion ?? null,
        depth: event?.depth ?? null,
        received_ts: event?.originServerTs ?? null,
      };
    });
    return { count: results.length, results };
  },
});
