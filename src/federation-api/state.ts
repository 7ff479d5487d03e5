import { z } from 'zod';
import { stateBefore } from '#projections/rooms/event-row.ts';
import type { Context } from '#src/context.ts';
import { knownRoom } from '#src/federation/inbound/admission.ts';
import { pduListAnswer } from '#src/federation/inbound/pdu-list.ts';
import { placedEvent } from '#src/federation/inbound/room-events.ts';
import { authChainToTell, inOrder, stateToTell } from '#src/federation/inbound/told-state.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';

/**
 * `GET /_matrix/federation/v1/state/{roomId}`: the state of a room before an event, with all that authorises it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid
 */
export const getState = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/state/{roomId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ event_id: queryText() }),
  handler: async ({ params, query, requester }, context: Pick<Context, 'log' | 'reader' | 'serverName'>) => {
    const { reader, serverName } = context;
    const room = knownRoom(reader, serverName, requester.origin, params.roomId);
    const known = placedEvent(reader, room, query.event_id);
    const events = await stateToTell(reader, room.id, stateBefore(known.row), { withMembers: true });
    return pduListAnswer(context, [
      ['auth_chain', inOrder(await authChainToTell(reader, room.id, events))],
      ['pdus', inOrder(events)],
    ]);
  },
});
