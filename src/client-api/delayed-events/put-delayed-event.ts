import { z } from 'zod';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { jsonObjectSchema, MAX_EVENT_BODY_BYTES } from '../schemas.ts';
import { sendLater } from './delay.ts';

/**
 * `PUT /_matrix/client/unstable/org.matrix.msc4140/rooms/{roomId}/delayed_event/{eventType}/{txnId}`: has a message or state event sent
 * later. Clients of today ask for the same with a parameter of the sending endpoints.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 */
export const putDelayedEvent = endpoint({
  method: 'PUT',
  path: '/_matrix/client/unstable/org.matrix.msc4140/rooms/{roomId}/delayed_event/{eventType}/{txnId}',
  auth: 'guest',
  rateLimit: 'write',
  bodyLimitBytes: MAX_EVENT_BODY_BYTES,
  body: z.object({ delay: z.int().min(1), state_key: z.string().optional(), content: jsonObjectSchema }),
  handler: ({ params, body, requester }, context: Context) => {
    const { roomId, eventType: type } = params;
    // Transactions of one endpoint are none of another.
    const txnId = `delayed_event/${params.txnId}`;
    const { delay, state_key: stateKey, content } = body;
    const event = { roomId, type, txnId, content: content as JsonObject };
    return sendLater(context, requester, delay, stateKey === undefined ? event : { ...event, stateKey });
  },
});
