import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { sendState } from '#src/rooms/send-state.ts';
import { DELAY, delayQuery, sendLater } from '../delayed-events/delay.ts';
import { MAX_EVENT_BODY_BYTES } from '../schemas.ts';

/**
 * `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: sets a piece of a room's state.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
 */
export const putState = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}',
  aliases: [
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}',
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/',
  ],
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  bodyLimitBytes: MAX_EVENT_BODY_BYTES,
  query: delayQuery,
  handler: async ({ params, query, body, requester }, context: Context) => {
    const delayMs = query[DELAY];
    if (delayMs !== undefined) {
      const { roomId, eventType: type, stateKey } = params;
      return sendLater(context, requester, delayMs, { roomId, type, stateKey, content: body });
    }
    const { eventId } = await sendState(context, params.roomId, {
      sender: requester.userId,
      type: params.eventType,
      stateKey: params.stateKey,
      content: body,
    });
    return { event_id: eventId };
  },
});
