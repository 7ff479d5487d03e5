import { z } from 'zod';
import { findRoom } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { makeReport } from './make-report.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/report`: reports a room, which one need not be in.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreport
 */
export const reportRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/report',
  aliases: ['/_matrix/client/unstable/org.matrix.msc4151/rooms/{roomId}/report'],
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ reason: z.string() }),
  handler: async ({ params: { roomId }, body, requester }, context: Context) => {
    if (findRoom(context.reader, roomId) === undefined) throw notFound('This server does not know the room.');
    await makeReport(context, { reporter: requester.userId, target: { kind: 'room', roomId }, reason: body.reason });
    return {};
  },
});
