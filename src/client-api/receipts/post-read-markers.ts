import { z } from 'zod';
import { RECEIPT_TYPES } from '#projections/receipts/records.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { FULLY_READ_TYPE } from '../account-data/entries.ts';
import { type Mark, markRead, type ReceiptContext } from './mark-read.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/read_markers`: moves the fully read marker, and receipts with it.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers
 */
export const postReadMarkers = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/read_markers',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({
    [FULLY_READ_TYPE]: z.string().optional(),
    'm.read': z.string().optional(),
    'm.read.private': z.string().optional(),
  }),
  handler: async ({ params, body, requester }, context: ReceiptContext) => {
    const marks: Mark[] = [];
    const fullyRead = body[FULLY_READ_TYPE];
    if (fullyRead !== undefined) marks.push({ type: FULLY_READ_TYPE, eventId: fullyRead });
    for (const type of RECEIPT_TYPES) {
      const eventId = body[type];
      if (eventId !== undefined) marks.push({ type, eventId, threadId: undefined });
    }
    await markRead(context, requester.userId, params.roomId, marks);
    return {};
  },
});
