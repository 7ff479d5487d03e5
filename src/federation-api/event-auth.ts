import { knownEvent } from '#projections/rooms/known-events.ts';
import type { Context } from '#src/context.ts';
import { knownRoom } from '#src/federation/inbound/admission.ts';
import { authEventPositions } from '#src/federation/inbound/auth-event-positions.ts';
import { pduListAnswer } from '#src/federation/inbound/pdu-list.ts';
import { authChainToTell, inOrder } from '#src/federation/inbound/told-state.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`: all that authorises an event.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid
 */
export const getEventAuth = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/event_auth/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  handler: async ({ params, requester }, context: Pick<Context, 'log' | 'reader' | 'serverName'>) => {
    const { reader, serverName } = context;
    const room = knownRoom(reader, serverName, requester.origin, params.roomId);
    const known = knownEvent(reader, params.eventId);
    if (known === undefined || known.row.room !== room.id) throw notFound();
    const authEvents = await authEventPositions(context, room, known);
    return pduListAnswer(context, [
      ['auth_chain', inOrder(new Set([...authEvents, ...(await authChainToTell(reader, room.id, authEvents))]))],
    ]);
  },
});
