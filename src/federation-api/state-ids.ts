import { z } from 'zod';
import type { Reader } from '#projections/engine/reader.ts';
import { stateBefore } from '#projections/rooms/event-row.ts';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import type { Context } from '#src/context.ts';
import { knownRoom } from '#src/federation/inbound/admission.ts';
import { placedEvent } from '#src/federation/inbound/room-events.ts';
import { authChainToTell, stateToTell } from '#src/federation/inbound/told-state.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';

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
  handler: async ({ params, query, requester }, { reader, serverName }: Pick<Context, 'reader' | 'serverName'>) => {
    const room = knownRoom(reader, serverName, requester.origin, params.roomId);
    const known = placedEvent(reader, room, query.event_id);
    const events = await stateToTell(reader, room.id, stateBefore(known.row), { withMembers: true });
    const chain = await authChainToTell(reader, room.id, events);
    return { pdu_ids: await idsOf(reader, events), auth_chain_ids: await idsOf(reader, chain) };
  },
});

async function idsOf(reader: Reader, positions: Iterable<Position>): Promise<string[]> {
  const ids: string[] = [];
  for (const position of positions) {
    const known = knownEventAt(reader, position);
    if (known !== undefined) ids.push(known.row.eventId);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  return ids;
}
