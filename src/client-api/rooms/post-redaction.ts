import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { redact } from './redact-event.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/redact/{eventId}`: takes the content of an event away, without a transaction id: as
 * old as {@link postEvent}.
 */
export const postRedaction = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/redact/{eventId}',
  auth: 'guest',
  rateLimit: 'write',
  body: z.looseObject({ reason: z.string().optional() }),
  handler: ({ params, body, requester, ip }, context: Context) =>
    redact(context, { requester, ip }, params, body.reason, undefined),
});
