import { z } from 'zod';
import { authChainOf } from '#projections/rooms/auth-chains/index.ts';
import { stateBefore } from '#projections/rooms/event-row.ts';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import { stateEntriesAt } from '#projections/rooms/state/index.ts';
import type { Context } from '#src/context.ts';
import { residentRoom } from '#src/federation/inbound/admission.ts';
import { placedEvent } from '#src/federation/inbound/room-events.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';

/**
 * `GET /_matrix/federation/v1/state_ids/{roomId}`: ids of the state of a room before an event, and of what authorises it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid
 */
export const getStateIds = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/state_ids/{roomId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ event_id: queryText() }),
  handler: ({ params, query, requester }, { reader, serverName }: Pick<Context, 'reader' | 'serverName'>) => {
    const room = residentRoom(reader, serverName, requester.origin, params.roomId);
    const known = placedEvent(reader, room, query.event_id);
    const events = [...stateEntriesAt(reader, room.id, stateBefore(known.row))].map(({ event }) => event);
    const idsOf = (positions: Iterable<number>): string[] =>
      [...positions].flatMap((position) => knownEventAt(reader, position)?.row.eventId ?? []);
    return { pdu_ids: idsOf(events), auth_chain_ids: idsOf(authChainOf(reader, room.id, events)) };
  },
});
