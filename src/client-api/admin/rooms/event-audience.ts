import { eventById, roomById } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { audienceOf } from '#src/rooms/audience.ts';

/** `GET /_stele/admin/audience/{eventId}`: who could have seen an event, then and since; not what it says. */
export const eventAudience = endpoint({
  method: 'GET',
  path: '/_stele/admin/audience/{eventId}',
  auth: 'admin',
  may: 'rooms.read',
  audit: {
    action: 'content.visible_to',
    describe: ({ params }, { reader }: Pick<Context, 'reader'>) => {
      const event = eventById(reader, params.eventId);
      const room = event && roomById(reader, event.room);
      if (room === undefined) throw notFound('There is no such event here.');
      return { roomId: room.roomId };
    },
  },
  rateLimit: 'none',
  handler: ({ params }, { reader }: Pick<Context, 'reader'>) => {
    const audience = audienceOf(reader, params.eventId);
    if (audience === undefined) throw notFound('There is no such event here.');
    return audience;
  },
});
