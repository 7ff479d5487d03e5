import { z } from 'zod';
import type { Transaction } from '#projections/rooms/pdu-record.ts';
import { eventById, findRoom } from '#projections/rooms/queries.ts';
import { userSuspended } from '#src/accounts/restrictions.ts';
import { actorOf } from '#src/audit/actor.ts';
import type { Context } from '#src/context.ts';
import { endpoint, type Requester } from '#src/http/endpoint.ts';
import { mayRedact } from '../messages/unredacted.ts';
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
  handler: ({ params, body, requester, ip }, context: Context) =>
    redact(context, { requester, ip }, params, body.reason, sentBy(requester, params.txnId)),
});

/**
 * Redacts an event; gives the answer. What a moderator redacts of others is captured as evidence before, and on record.
 * @throws {MatrixError} `M_USER_SUSPENDED`, and as {@link Rooms.send}
 */
export async function redact(
  context: Pick<Context, 'rooms' | 'reader' | 'audit' | 'evidence'>,
  { requester, ip }: { readonly requester: Requester; readonly ip: string },
  { roomId, eventId }: { readonly roomId: string; readonly eventId: string },
  reason: string | undefined,
  transaction: Transaction | undefined,
): Promise<object> {
  const { reader, audit, evidence } = context;
  const event = eventById(reader, eventId);
  const isOwn = event?.sender === requester.userId;
  if (requester.isSuspended === true && !isOwn) throw userSuspended();
  const room = findRoom(reader, roomId);
  const isThere = room !== undefined && event?.room === room.id && event.redactedBy === undefined;
  if (isThere && !isOwn && mayRedact({ reader }, room, requester.userId)) {
    const target = { kind: 'event', id: eventId } as const;
    await audit.record({ actor: actorOf(requester), action: 'content.redact', target, roomId, reason, ip });
    await evidence.captureEvent(roomId, eventId, { cause: 'redaction', by: requester.userId });
  }
  const content = { redacts: eventId, ...(reason !== undefined && { reason }) };
  const sent = await context.rooms.send(
    roomId,
    { sender: requester.userId, type: 'm.room.redaction', content },
    transaction,
  );
  return { event_id: sent.eventId };
}
