import { z } from 'zod';
import { eventById } from '#projections/rooms/queries.ts';
import { userSuspended } from '#src/accounts/restrictions.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { sentBy } from './sent-by.ts';

/**
 * `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`: takes the content of an event away.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid
 */
export const redactEvent = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}',
  auth: 'guest',
  rateLimit: 'write',
  body: z.looseObject({ reason: z.string().optional() }),
  handler: async ({ params, body, requester }, context: Context) => {
    if (requester.isSuspended === true && eventById(context.reader, params.eventId)?.sender !== requester.userId) {
      throw userSuspended();
    }
    const { eventId } = await context.rooms.send(
      params.roomId,
      {
        sender: requester.userId,
        type: 'm.room.redaction',
        content: { redacts: params.eventId, ...(body.reason !== undefined && { reason: body.reason }) },
      },
      sentBy(requester, params.txnId),
    );
    return { event_id: eventId };
  },
});
