import { z } from 'zod';
import { eventAt } from '#projections/rooms/queries.ts';
import { eventsNear } from '#projections/search/times.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { queryChoice, queryInteger } from '#src/http/query.ts';
import { roomOf } from './room-of.ts';

/** Events that are looked at for one that is shown. */
const MAX_EVENTS_LOOKED_AT = 2000;

/**
 * `GET /_synapse/admin/v1/rooms/{roomId}/timestamp_to_event`: the event that was sent nearest to a time, of all that this server has.
 * https://element-hq.github.io/synapse/latest/admin_api/rooms.html#room-timestamp-to-event-api
 */
export const roomTimestampToEvent = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/{roomId}/timestamp_to_event',
  auth: 'admin',
  may: 'content.read',
  audit: { action: 'content.read', describe: ({ query }) => ({ after: query }) },
  rateLimit: 'none',
  query: z.object({ ts: queryInteger(), dir: queryChoice(['f', 'b']).default('f') }),
  handler: async ({ params, query }, context: Pick<Context, 'reader' | 'search'>) => {
    const { reader, search } = context;
    const room = roomOf(context, params.roomId);
    const index = await search.readerAt(reader.frontier);
    let lookedAt = 0;
    for (const { position } of eventsNear(index, room.roomId, query.ts, query.dir)) {
      if (++lookedAt > MAX_EVENTS_LOOKED_AT) break;
      const event = eventAt(reader, position);
      if (event?.room === room.id) return { event_id: event.eventId, origin_server_ts: event.originServerTs };
    }
    throw notFound(`There is no event ${query.dir === 'f' ? 'after' : 'before'} that time.`);
  },
});
