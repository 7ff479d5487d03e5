import { z } from 'zod';
import { RECEIPT_TYPES } from '#projections/receipts/records.ts';
import { isEventId } from '#protocol/identifiers.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { FULLY_READ_TYPE } from '../account-data/entries.ts';
import { markRead, type ReceiptContext } from './mark-read.ts';
import { MAIN_THREAD } from './threads.ts';

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`: the user has read up to an event.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid
 */
export const postReceipt = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({ thread_id: z.unknown().optional() }),
  handler: async ({ params, body, requester }, context: ReceiptContext) => {
    const { roomId, receiptType, eventId } = params;
    const threadId = threadIdOf(body.thread_id);
    if (receiptType === FULLY_READ_TYPE) {
      if (threadId !== undefined) throw invalidParam('A fully read marker is not of a thread.');
      await markRead(context, requester.userId, roomId, [{ type: receiptType, eventId }]);
      return {};
    }
    const type = RECEIPT_TYPES.find((known) => known === receiptType);
    if (type === undefined) {
      throw invalidParam(`The receipt type has to be one of ${[...RECEIPT_TYPES, FULLY_READ_TYPE].join(', ')}.`);
    }
    await markRead(context, requester.userId, roomId, [{ type, eventId, threadId }]);
    return {};
  },
});

function threadIdOf(given: unknown): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && (given === MAIN_THREAD || isEventId(given))) return given;
  throw invalidParam('thread_id has to be "main" or the id of an event.');
}
