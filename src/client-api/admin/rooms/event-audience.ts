import { z } from 'zod';
import { eventById, roomById } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam, notFound } from '#src/http/errors.ts';
import { positionOf } from '#src/rooms/as-of.ts';
import { audienceOf } from '#src/rooms/audience.ts';
import { asOfQuery, type RoomsContext } from './room-of.ts';

/** `GET /_stele/admin/audience/{eventId}`: who could have seen an event, then and since, up to `asof`; not what it says. */
export const eventAudience = endpoint({
  method: 'GET',
  path: '/_stele/admin/audience/{eventId}',
  auth: 'admin',
  may: 'rooms.read',
  audit: {
    action: 'content.visible_to',
    describe: ({ params, query }, { reader }: Pick<Context, 'reader'>) => {
      const event = eventById(reader, params.eventId);
      const room = event && roomById(reader, event.room);
      if (room === undefined) throw notFound('There is no such event here.');
      return { roomId: room.roomId, after: query };
    },
  },
  rateLimit: 'none',
  query: z.object(asOfQuery),
  handler: async ({ params, query: { asof } }, { reader, log }: RoomsContext) => {
    const event = eventById(reader, params.eventId);
    const room = event && roomById(reader, event.room);
    if (room === undefined) throw notFound('There is no such event here.');
    const until = asof === undefined ? undefined : await positionOf(reader, log, room, asof);
    if (asof !== undefined && until === undefined) {
      throw invalidParam('asof is an event of the room, a time, or a position in the log.');
    }
    const audience = audienceOf(reader, params.eventId, until);
    if (audience === undefined) throw notFound('There was no such event at that moment.');
    return audience;
  },
});
