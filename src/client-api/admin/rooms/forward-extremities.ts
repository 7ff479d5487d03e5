import { eventById, headOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { roomOf } from './room-of.ts';
import { strongestMember } from './strongest-member.ts';

/** What clients do not show; Synapse, too, joins the ends of a graph with it. */
const DUMMY_EVENT = 'org.matrix.dummy_event';
/** Events that one request sends at most: each follows as many ends as an event may. */
const MAX_DUMMY_EVENTS = 10;

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

/**
 * `DELETE /_synapse/admin/v1/rooms/{roomIdOrAlias}/forward_extremities`: joins the ends of a room's graph into one, by events that follow
 * them and that nobody is shown, in the name of the most powerful member of this server. No end is thrown away.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#deleting-forward-extremities
 */
export const mergeForwardExtremities = endpoint({
  method: 'DELETE',
  path: '/_synapse/admin/v1/rooms/{roomIdOrAlias}/forward_extremities',
  auth: 'admin',
  may: 'rooms.write',
  audit: {
    action: 'room.extremities',
    describe: ({ params }, { directory, reader }: Pick<Context, 'directory' | 'reader'>) => {
      const roomId = directory.roomOf(params.roomIdOrAlias);
      const { id } = roomOf({ reader }, roomId);
      return { target: { kind: 'room', id: roomId }, roomId, before: { count: endsOf(reader, id) } };
    },
  },
  rateLimit: 'none',
  handler: async ({ params }, context: Pick<Context, 'reader' | 'directory' | 'rooms' | 'serverName'>) => {
    const { reader, rooms, directory } = context;
    const roomId = directory.roomOf(params.roomIdOrAlias);
    const room = roomOf(context, roomId);
    const before = endsOf(reader, room.id);
    let left = before;
    for (let sent = 0; left > 1 && sent < MAX_DUMMY_EVENTS; sent += 1) {
      const sender = await strongestMember(context, room);
      await rooms.send(roomId, { sender, type: DUMMY_EVENT, content: {} });
      const now = endsOf(reader, room.id);
      if (now >= left) break;
      left = now;
    }
    return { deleted: before - left };
  },
});

function endsOf(reader: Context['reader'], room: number): number {
  return headOf(reader, room)?.extremities.length ?? 0;
}
