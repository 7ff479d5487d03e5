import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryFlag } from '#src/http/query.ts';
import { clientEvent } from '#src/sync/client-event.ts';
import { unredactedEvent } from '../messages/unredacted.ts';
import { eventViewFor, visibleEvent } from '../messages/visible-event.ts';

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`: one event, if the user may see it. Who may redact can ask for what
 * a redaction took away (MSC2815).
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid
 */
export const getEvent = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/event/{eventId}',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    'fi.mau.msc2815.include_unredacted_content': queryFlag().optional(),
    // The name in the proposal's first implementations.
    'fi.mau.unredact_content': queryFlag().optional(),
  }),
  handler: async ({ params, query, requester, ip }, context: Context) => {
    const found = visibleEvent(context.reader, params.roomId, params.eventId, requester.userId);
    const wantsAll = query['fi.mau.msc2815.include_unredacted_content'] ?? query['fi.mau.unredact_content'];
    const event = wantsAll ? await unredactedEvent(context, found.room, found.event, { requester, ip }) : found.event;
    return jsonTextAnswer(clientEvent(eventViewFor(context, requester, { ...found, roomId: params.roomId }), event));
  },
});
