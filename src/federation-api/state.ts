import { z } from 'zod';
import { authChainOf } from '#projections/rooms/auth-chains/index.ts';
import { stateBefore } from '#projections/rooms/event-row.ts';
import { stateEntriesAt } from '#projections/rooms/state/index.ts';
import type { Context } from '#src/context.ts';
import { residentRoom } from '#src/federation/inbound/admission.ts';
import { inOrder } from '#src/federation/inbound/join-answer.ts';
import { pduListAnswer } from '#src/federation/inbound/pdu-list.ts';
import { placedEvent } from '#src/federation/inbound/room-events.ts';
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
  handler: ({ params, query, requester }, context: Pick<Context, 'log' | 'reader' | 'serverName'>) => {
    const { reader, serverName } = context;
    const room = residentRoom(reader, serverName, requester.origin, params.roomId);
    const known = placedEvent(reader, room, query.event_id);
    const events = [...stateEntriesAt(reader, room.id, stateBefore(known.row))].map(({ event }) => event);
    return pduListAnswer(context, [
      ['auth_chain', inOrder(authChainOf(reader, room.id, events))],
      ['pdus', events],
    ]);
  },
});
