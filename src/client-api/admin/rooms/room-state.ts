/**
 * The state of a room, and who is in it, now or as of a moment. The shapes are Synapse's, so that its tools work; `asof` is ours.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-state-api
 */
import { z } from 'zod';
import { contentOf } from '#projections/rooms/event-content.ts';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import { stateEntriesAt } from '#projections/rooms/state/index.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';
import { stateEntriesOf } from '#src/rooms/as-of.ts';
import { asOfQuery, type RoomsContext, roomOf, stateAsOf } from './room-of.ts';

/** `GET /_synapse/admin/v1/rooms/{roomId}/state`, with `type` only the state of one type, or of those that begin so: `m.policy.rule.*`. */
export const roomState = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}/state',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'room.read', describe: ({ query }) => ({ after: { state: true, ...query } }) },
  rateLimit: 'none',
  query: z.object({ ...asOfQuery, type: queryText().optional() }),
  handler: async ({ params, query }, context: RoomsContext) => {
    const { reader } = context;
    const room = roomOf(context, params.roomId);
    const state = await stateAsOf(context, room, query.asof);
    const events: object[] = [];
    for (const { type, stateKey, event } of stateEntriesOf(reader, room, state, query.type)) {
      const known = knownEventAt(reader, event);
      if (known === undefined) continue;
      const { eventId, sender, originServerTs } = known.row;
      events.push({
        type,
        state_key: stateKey,
        event_id: eventId,
        sender,
        room_id: room.roomId,
        origin_server_ts: originServerTs,
        content: contentOf(known.row),
      });
    }
    return { state: events };
  },
});

/** `GET /_synapse/admin/v1/rooms/{roomId}/members`: the joined members. */
export const roomMembers = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}/members',
  auth: 'admin',
  may: 'rooms.read',
  audit: { action: 'room.read', describe: ({ query }) => ({ after: { members: true, ...query } }) },
  rateLimit: 'none',
  query: z.object(asOfQuery),
  handler: async ({ params, query }, context: RoomsContext) => {
    const { reader } = context;
    const room = roomOf(context, params.roomId);
    const state = await stateAsOf(context, room, query.asof);
    const members: string[] = [];
    for (const { stateKey, event } of stateEntriesAt(reader, room.id, state, { type: 'm.room.member' })) {
      const known = knownEventAt(reader, event);
      if (known !== undefined && contentOf(known.row)['membership'] === 'join') members.push(stateKey);
    }
    return { members, total: members.length };
  },
});
