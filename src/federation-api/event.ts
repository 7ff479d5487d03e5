import { knownEvent } from '#projections/rooms/known-events.ts';
import { roomById } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { knownRoom } from '#src/federation/inbound/admission.ts';
import { HistoryReader } from '#src/federation/inbound/history.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /_matrix/federation/v1/event/{eventId}`: one event, of a room that both servers are in.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid
 */
export const getEvent = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/event/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  handler: async ({ params, requester }, context: Pick<Context, 'log' | 'reader' | 'serverName' | 'clock'>) => {
    const { reader, serverName, clock } = context;
    const known = knownEvent(reader, params.eventId);
    const room = known && roomById(reader, known.row.room);
    if (known === undefined || room === undefined || known.disposition === 'rejected') throw notFound();
    knownRoom(reader, serverName, requester.origin, room.roomId);
    const pdu = await new HistoryReader(context, room, requester.origin).pdu(known);
    if (pdu === undefined) throw notFound('The event was erased.');
    return { origin: serverName, origin_server_ts: clock(), pdus: [pdu] };
  },
});
