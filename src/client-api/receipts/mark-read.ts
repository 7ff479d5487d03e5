/** How far users have read: receipts, and the fully read marker, which is account data of the room. */

import { accountData } from '#projections/account-data/queries.ts';
import { placeOf } from '#projections/notifications/projection.ts';
import { latestReceipt } from '#projections/receipts/queries.ts';
import { type ReceiptType, receiptRecord } from '#projections/receipts/records.ts';
import { type Event, eventById, findRoom, membershipOf } from '#projections/rooms/queries.ts';
import { isEventId } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { Context } from '#src/context.ts';
import { forbidden, invalidParam, notFound } from '#src/http/errors.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import { accountDataDraft, FULLY_READ_TYPE } from '../account-data/entries.ts';
import { changeUser, type UserStreamContext } from '../user-stream.ts';
import { isInThread } from './threads.ts';

/** What the endpoints here need. */
export type ReceiptContext = UserStreamContext & Pick<Context, 'clock'>;

/** One of the marks that a request sets. */
export type Mark =
  | { readonly type: typeof FULLY_READ_TYPE; readonly eventId: string }
  | { readonly type: ReceiptType; readonly eventId: string; readonly threadId: string | undefined };

/**
 * Sets marks of a user in a room, all of them or none. A mark that would go back to an earlier event stays where it is:
 * devices send theirs late, and out of order.
 *
 * @throws {MatrixError} `M_FORBIDDEN` for somebody who is not in the room, `M_NOT_FOUND` for an event that is not of the
 * room, `M_INVALID_PARAM` for a thread that the event is not in.
 */
export async function markRead(
  context: ReceiptContext,
  userId: string,
  roomId: string,
  marks: readonly Mark[],
): Promise<void> {
  const room = findRoom(context.reader, roomId);
  if (room === undefined || membershipOf(context.reader, room.id, userId) !== 'join') {
    throw forbidden('You are not in this room.');
  }
  const checked = marks.map((mark) => ({ mark, event: checkMark(context, room.id, mark) }));
  const tsMs = context.clock();
  await changeUser(context, userId, () =>
    checked
      .filter(({ mark, event }) => isForward(context, userId, roomId, mark, event))
      .map(({ mark }) => draftOf(context, userId, roomId, mark, tsMs)),
  );
}

function checkMark({ reader }: ReceiptContext, room: number, mark: Mark): Event {
  const event = isEventId(mark.eventId) ? eventById(reader, mark.eventId) : undefined;
  if (event?.room !== room) throw notFound('There is no such event in this room.');
  if (mark.type === FULLY_READ_TYPE || mark.threadId === undefined) return event;
  if (!isInThread(reader, event, mark.threadId)) {
    throw invalidParam('The event is not in the thread that thread_id names.');
  }
  return event;
}

function isForward({ reader }: ReceiptContext, userId: string, roomId: string, mark: Mark, event: Event): boolean {
  const before =
    mark.type === FULLY_READ_TYPE
      ? fullyReadEventId(accountData(reader, userId, FULLY_READ_TYPE, roomId))
      : latestReceipt(reader, roomId, userId, mark.type, mark.threadId)?.eventId;
  const earlier = before === undefined ? undefined : eventById(reader, before);
  return earlier === undefined || placeOf(event) > placeOf(earlier);
}

function fullyReadEventId(json: string | undefined): string | undefined {
  return json === undefined ? undefined : (parseJson(json) as { readonly event_id?: string }).event_id;
}

function draftOf(context: ReceiptContext, userId: string, roomId: string, mark: Mark, tsMs: number): RecordDraft {
  if (mark.type === FULLY_READ_TYPE) {
    return accountDataDraft(context, userId, roomId, FULLY_READ_TYPE, { event_id: mark.eventId });
  }
  const { type, eventId, threadId } = mark;
  return receiptRecord(context.newRecordId(), { userId, roomId, type, eventId, threadId, tsMs });
}
