import { shardOf } from '#projections/encryption/remote-device-records.ts';
import { latestReceipt } from '#projections/receipts/queries.ts';
import { type Receipt, receiptRecord } from '#projections/receipts/records.ts';
import { eventById, membershipOf, positionOfEvent, type Room } from '#projections/rooms/queries.ts';
import { isEventId, parseUserId } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { isInThread, MAIN_THREAD } from '#src/client-api/receipts/threads.ts';
import type { Context } from '#src/context.ts';
import { memberOf } from '#src/encryption/told-keys.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { EduRefused, roomOf } from './checks.ts';

/** Receipts in one EDU that are looked at. */
export const MAX_RECEIPTS = 500;
/** Rooms in one EDU that are looked at. */
const MAX_ROOMS = 100;
/** The only receipts that are other servers' to know. */
const RECEIPT_TYPE = 'm.read';
/** Receipts of other servers' users are in a few streams for all, whose names say nothing. */
const STREAMS = 16;

type ReceiptContext = Pick<Context, 'reader' | 'serverName' | 'commands' | 'newRecordId' | 'clock'>;

/** `m.receipt`. https://spec.matrix.org/v1.19/server-server-api/#receipts */
export function receiptHandler(context: ReceiptContext): EduHandler {
  return async (origin, content) => {
    const receipts: Receipt[] = [];
    for (const [roomId, ofRoom] of Object.entries(content).slice(0, MAX_ROOMS)) {
      const users = memberOf(ofRoom, RECEIPT_TYPE);
      const room = isJsonObject(users) ? permittedRoom(context, origin, roomId) : undefined;
      if (room === undefined || !isJsonObject(users)) continue;
      for (const [userId, said] of Object.entries(users)) {
        if (receipts.length >= MAX_RECEIPTS) break;
        const receipt = receiptOf(context, origin, room, userId, said);
        if (receipt !== undefined) receipts.push(receipt);
      }
    }
    if (receipts.length === 0) throw new EduRefused('it has no receipt that its server may send');
    await context.commands.run(`server-remote-receipts-${shardOf(origin, STREAMS)}`, () => ({
      records: receipts
        .filter((receipt) => isForward(context, receipt))
        .map((receipt) => receiptRecord(context.newRecordId(), receipt)),
      result: undefined,
    }));
  };
}

function permittedRoom({ reader, serverName }: ReceiptContext, origin: string, roomId: string): Room | undefined {
  try {
    return roomOf(reader, serverName, origin, roomId);
  } catch {
    // The other rooms of the EDU do not suffer from this one.
    return undefined;
  }
}

function receiptOf(
  { reader, clock }: ReceiptContext,
  origin: string,
  room: Room,
  userId: string,
  said: JsonValue | undefined,
): Receipt | undefined {
  if (parseUserId(userId)?.serverName !== origin || membershipOf(reader, room.id, userId) !== 'join') return undefined;
  const { event_ids: eventIds, data } = isJsonObject(said) ? said : ({} as JsonObject);
  const eventId = Array.isArray(eventIds) ? (eventIds[0] as unknown) : undefined;
  if (typeof eventId !== 'string' || !isEventId(eventId)) return undefined;
  const event = eventById(reader, eventId);
  // One that has not come yet is still on its way.
  if (event !== undefined && event.room !== room.id) return undefined;
  const { ts, thread_id: thread } = isJsonObject(data) ? data : ({} as JsonObject);
  const nowMs = clock();
  const tsMs = typeof ts === 'number' && Number.isSafeInteger(ts) && ts >= 0 ? Math.min(ts, nowMs) : nowMs;
  if (thread === undefined || thread === null) {
    return { userId, roomId: room.roomId, type: RECEIPT_TYPE, eventId, threadId: undefined, tsMs };
  }
  if (typeof thread !== 'string') return undefined;
  // Threads that nobody began would be an endless number of receipts.
  if (thread !== MAIN_THREAD && eventById(reader, thread)?.room !== room.id) return undefined;
  if (event !== undefined && !isInThread(reader, event, thread)) return undefined;
  return { userId, roomId: room.roomId, type: RECEIPT_TYPE, eventId, threadId: thread, tsMs };
}

/** A receipt that would go back to an earlier event is late. */
function isForward({ reader }: ReceiptContext, { roomId, userId, type, eventId, threadId }: Receipt): boolean {
  const before = latestReceipt(reader, roomId, userId, type, threadId)?.eventId;
  if (before === undefined) return true;
  if (before === eventId) return false;
  const positionBefore = positionOfEvent(reader, before);
  const position = positionOfEvent(reader, eventId);
  return positionBefore === undefined || position === undefined || position > positionBefore;
}
