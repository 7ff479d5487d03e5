import { z } from 'zod';
import { findRoom, membershipOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { visibleEvent } from '../messages/visible-event.ts';
import { makeReport } from './make-report.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`: reports an event that one sees as a member of its room.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreporteventid
 */
export const reportEvent = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/report/{eventId}',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ reason: z.string().nullish() }),
  handler: async ({ params: { roomId, eventId }, body, requester: { userId } }, context: Context) => {
    const { reader } = context;
    const room = findRoom(reader, roomId);
    if (room === undefined || membershipOf(reader, room.id, userId) !== 'join') {
      throw notFound('There is no such event, or you are not in its room.');
    }
    const { event } = visibleEvent(reader, roomId, eventId, userId);
    await makeReport(context, {
      reporter: userId,
      target: { kind: 'event', roomId, eventId, sender: event.sender },
      reason: body.reason ?? undefined,
    });
    return {};
  },
});
