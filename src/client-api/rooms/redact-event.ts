import { z } from 'zod';
import type { Transaction } from '#projections/rooms/pdu-record.ts';
import { eventById } from '#projections/rooms/queries.ts';
import { userSuspended } from '#src/accounts/restrictions.ts';
import type { Context } from '#src/context.ts';
import { endpoint, type Requester } from '#src/http/endpoint.ts';
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
  handler: ({ params, body, requester }, context: Context) =>
    redact(context, requester, params, body.reason, sentBy(requester, params.txnId)),
});

/** Redacts an event; gives the answer. @throws {MatrixError} `M_USER_SUSPENDED`, and as {@link Rooms.send} */
export async function redact(
  context: Pick<Context, 'rooms' | 'reader'>,
  requester: Requester,
  { roomId, eventId }: { readonly roomId: string; readonly eventId: string },
  reason: string | undefined,
  transaction: Transaction | undefined,
): Promise<object> {
  if (requester.isSuspended === true && eventById(context.reader, eventId)?.sender !== requester.userId) {
    throw userSuspended();
  }
  const content = { redacts: eventId, ...(reason !== undefined && { reason }) };
  const sent = await context.rooms.send(
    roomId,
    { sender: requester.userId, type: 'm.room.redaction', content },
    transaction,
  );
  return { event_id: sent.eventId };
}
