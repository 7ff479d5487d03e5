import { z } from 'zod';
import { knownEventAt } from '#projections/rooms/known-events.ts';
import { eventsNear } from '#projections/search/times.ts';
import type { Context } from '#src/context.ts';
import { knownRoom } from '#src/federation/inbound/admission.ts';
import { HistoryReader } from '#src/federation/inbound/history.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { queryChoice, queryInteger } from '#src/http/query.ts';
import { sharedPacer } from '#src/sync/pacer.ts';

/** Events that are looked at for one that the other server may see. */
const MAX_EVENTS_LOOKED_AT = 1000;

/**
 * `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`: the event that was sent nearest to a time, from it on or before it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
 */
export const timestampToEvent = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/timestamp_to_event/{roomId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ ts: queryInteger(), dir: queryChoice(['f', 'b']) }),
  handler: async ({ params, query, requester }, context: Pick<Context, 'log' | 'reader' | 'serverName' | 'search'>) => {
    const { reader, serverName, search } = context;
    const room = knownRoom(reader, serverName, requester.origin, params.roomId);
    const history = new HistoryReader(context, room, requester.origin);
    const index = await search.readerAt(reader.frontier);
    let lookedAt = 0;
    for (const { position } of eventsNear(index, params.roomId, query.ts, query.dir)) {
      if (++lookedAt > MAX_EVENTS_LOOKED_AT) break;
      const known = knownEventAt(reader, position);
      if (known?.disposition === 'accepted' && known.row.room === room.id && (await history.mayRead(known))) {
        return { event_id: known.row.eventId, origin_server_ts: known.row.originServerTs };
      }
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    throw notFound(`There is no event ${query.dir === 'f' ? 'after' : 'before'} that time.`);
  },
});
