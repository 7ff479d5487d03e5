import { shardOf } from '#projections/encryption/remote-device-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { latestReceipt } from '#projections/receipts/queries.ts';
import { type Receipt, receiptRecord } from '#projections/receipts/records.ts';
import { knownEvent } from '#projections/rooms/known-events.ts';
import { isHeld } from '#projections/rooms/partial.ts';
import { eventById, findRoom, membershipOf, positionOfEvent, type Room } from '#projections/rooms/queries.ts';
import { isEventId, parseUserId } from '#protocol/identifiers.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { isInThread, MAIN_THREAD } from '#src/client-api/receipts/threads.ts';
import type { Context } from '#src/context.ts';
import { memberOf } from '#src/encryption/told-keys.ts';
import { Budget } from '../budget.ts';
import type { EduHandler } from '../inbound/transactions.ts';
import { EduRefused, mayBeIn, roomOf } from './checks.ts';

/** Receipts in one EDU that are looked at. */
export const MAX_RECEIPTS = 500;
/** Rooms in one EDU that are looked at. */
const MAX_ROOMS = 100;
/**
 * Receipts of which it cannot be told whether they go forward, since something that they name is not here: so many at once for each
 * server, and one more each so many milliseconds. They could else go to and fro for ever, and each is a record of the log.
 */
export const UNCLEAR_BURST = 500;
const UNCLEAR_REFILL_MS = 1000;
/** Servers of which is counted how many they sent. */
const MAX_ORIGINS = 5000;
/** The only receipts that are other servers' to know. */
const RECEIPT_TYPE = 'm.read';
/** Receipts of other servers' users are in a few streams for all, whose names say nothing. */
const STREAMS = 16;

type ReceiptContext = Pick<Context, 'reader' | 'serverName' | 'commands' | 'newRecordId' | 'clock'>;

/** `m.receipt`. https://spec.matrix.org/v1.19/server-server-api/#receipts */
export function receiptHandler(context: ReceiptContext): EduHandler {
  const { clock } = context;
  const unclear = new Budget({ burst: UNCLEAR_BURST, refillMs: UNCLEAR_REFILL_MS, maxNames: MAX_ORIGINS, clock });
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
        .filter((receipt) => isForward(context, receipt) ?? unclear.take(origin))
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
  if (parseUserId(userId)?.serverName !== origin || !mayBeIn(reader, room, userId)) return undefined;
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
  if (thread !== MAIN_THREAD && !isThere(reader, room, thread)) return undefined;
  if (event !== undefined && !isInThread(reader, event, thread)) return undefined;
  return { userId, roomId: room.roomId, type: RECEIPT_TYPE, eventId, threadId: thread, tsMs };
}

/** Whether an event is shown in a room, or will be judged when all its members are known. */
function isThere(reader: Reader, room: Room, eventId: string): boolean {
  if (eventById(reader, eventId)?.room === room.id) return true;
  const known = knownEvent(reader, eventId);
  return known !== undefined && isHeld(reader, room.id, known.position);
}

/**
 * A receipt that would go back to an earlier event is late; undefined where one of the two events is not here. The first of
 * somebody goes forward, if they are known to be in the room.
 */
function isForward({ reader }: ReceiptContext, receipt: Receipt): boolean | undefined {
  const { roomId, userId, type, eventId, threadId } = receipt;
  const before = latestReceipt(reader, roomId, userId, type, threadId)?.eventId;
  if (before === undefined) {
    const room = findRoom(reader, roomId);
    return room !== undefined && membershipOf(reader, room.id, userId) === 'join' ? true : undefined;
  }
  if (before === eventId) return false;
  const positionBefore = positionOfEvent(reader, before);
  const position = positionOfEvent(reader, eventId);
  return positionBefore === undefined || position === undefined ? undefined : position > positionBefore;
}
