import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { DELAY, delayQuery, sendLater } from '../delayed-events/delay.ts';
import { checkRelation } from '../relations/check-relation.ts';
import { MAX_EVENT_BODY_BYTES } from '../schemas.ts';
import { sentBy } from './sent-by.ts';

/**
 * `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`: sends a message event; sending again under the same
 * transaction id changes nothing and gives the same answer.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid
 */
export const sendEvent = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  bodyLimitBytes: MAX_EVENT_BODY_BYTES,
  query: delayQuery,
  handler: async ({ params, query, body, requester }, context: Context) => {
    const delayMs = query[DELAY];
    if (delayMs !== undefined) {
      const { roomId, eventType: type, txnId } = params;
      return sendLater(context, requester, delayMs, { roomId, type, txnId, content: body });
    }
    const event = { sender: requester.userId, type: params.eventType, content: body };
    const transaction = sentBy(requester, params.txnId);
    checkRelation(context.reader, params.roomId, event, transaction);
    const { eventId } = await context.rooms.send(params.roomId, event, transaction);
    return { event_id: eventId };
  },
});
