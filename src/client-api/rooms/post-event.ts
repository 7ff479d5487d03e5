import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { checkRelation } from '../relations/check-relation.ts';
import { MAX_EVENT_BODY_BYTES } from '../schemas.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/send/{eventType}`: sends a message event without a transaction id, so that sending
 * again sends twice. It was in the client API before that was, and some scripts still live on it.
 */
export const postEvent = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/send/{eventType}',
  auth: 'guest',
  rateLimit: 'write',
  body: 'json',
  bodyLimitBytes: MAX_EVENT_BODY_BYTES,
  handler: async ({ params, body, requester }, context: Context) => {
    const event = { sender: requester.userId, type: params.eventType, content: body };
    checkRelation(context.reader, params.roomId, event);
    const { eventId } = await context.rooms.send(params.roomId, event);
    return { event_id: eventId };
  },
});
