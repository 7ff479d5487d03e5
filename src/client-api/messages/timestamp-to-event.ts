import { z } from 'zod';
import { type Event, eventAt, eventById } from '#projections/rooms/queries.ts';
import { eventsNear } from '#projections/search/times.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryChoice, queryInteger } from '#src/http/query.ts';
import { type RoomView, viewRoom } from '#src/rooms/room-view.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { isIgnored } from './visible-event.ts';

/** Events that are looked at for one that the user may see. */
const MAX_EVENTS_LOOKED_AT = 2000;

/**
 * `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`: the event that was sent nearest to a time, from it on or before
 * it, of those that the user may see. Where history is missing, other servers are asked too.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
 */
export const timestampToEvent = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/rooms/{roomId}/timestamp_to_event',
  aliases: ['/_matrix/client/unstable/org.matrix.msc3030/rooms/{roomId}/timestamp_to_event'],
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({ ts: queryInteger(), dir: queryChoice(['f', 'b']) }),
  handler: async ({ params, query, requester }, context: Context) => {
    const { reader } = context;
    const { ts, dir } = query;
    const view = viewRoom(reader, params.roomId, requester.userId);
    const index = await context.search.readerAt(reader.frontier);
    const ignored = ignoredUsers(reader, requester.userId);
    const canSee = (event: Event | undefined, { room, visibility }: RoomView): event is Event =>
      event !== undefined && event.room === room.id && !isIgnored(ignored, event) && visibility.canSee(event);
    let nearest: Event | undefined;
    let lookedAt = 0;
    for (const { position } of eventsNear(index, params.roomId, ts, dir)) {
      if (++lookedAt > MAX_EVENTS_LOOKED_AT) break;
      const event = eventAt(reader, position);
      if (canSee(event, view)) {
        nearest = event;
        break;
      }
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    const elsewhere = await context.backfilling.nearest(params.roomId, {
      ts,
      direction: dir,
      nearestTs: nearest?.originServerTs,
    });
    if (elsewhere !== undefined) {
      const event = eventById(reader, elsewhere);
      if (canSee(event, viewRoom(reader, params.roomId, requester.userId))) nearest = event;
    }
    if (nearest !== undefined) return { event_id: nearest.eventId, origin_server_ts: nearest.originServerTs };
    throw new MatrixError('M_NOT_FOUND', `There is no event ${dir === 'f' ? 'after' : 'before'} that time.`);
  },
});
