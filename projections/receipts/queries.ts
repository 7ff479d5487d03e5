/** What the receipts projection can be asked. All of it reads the committed frontier of the reader, synchronously. */
import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { type LatestReceiptRow, latestReceipts, receiptOrder, roomReceipts, UNTHREADED } from './projection.ts';
import type { Receipt, ReceiptType } from './records.ts';

/**
 * The content of an `m.receipt` event: event id → receipt type → user id → when, and in which thread.
 * https://spec.matrix.org/v1.19/client-server-api/#mreceipt
 */
export interface ReceiptContent {
  [eventId: string]: { [type: string]: { [userId: string]: { ts: number; thread_id?: string } } };
}

const NOBODY: ReadonlySet<string> = new Set();

/**
 * The receipts that came to a room after a position and that a user may see: everybody's public ones and the user's own,
 * in the order of coming, but of nobody whom the user ignores. `BEFORE_FIRST` gives the latest of all.
 */
export function* receiptsSince(
  reader: Reader,
  roomId: string,
  since: Position,
  forUser: string,
  ignored: ReadonlySet<string> = NOBODY,
): Generator<Omit<Receipt, 'roomId'>> {
  const bounds = since < 0 ? {} : { gt: [roomId, since] as const };
  for (const { value } of reader.range(roomReceipts, { prefix: [roomId], ...bounds })) {
    const [userId, type, eventId, threadId, tsMs] = value;
    if ((type === 'm.read.private' && userId !== forUser) || ignored.has(userId)) continue;
    yield { userId, type, eventId, threadId: threadId === UNTHREADED ? undefined : threadId, tsMs };
  }
}

/**
 * The same as the contents of the `m.receipt` events that carry them; none if there is nothing new. It takes more than one
 * event where somebody has receipts of one type at one event for several threads, which one content cannot say.
 */
export function receiptContentsSince(
  reader: Reader,
  roomId: string,
  since: Position,
  forUser: string,
  ignored: ReadonlySet<string> = NOBODY,
): readonly ReceiptContent[] {
  const contents: ReceiptContent[] = [];
  for (const receipt of receiptsSince(reader, roomId, since, forUser, ignored)) {
    const free = contents.find((content) => content[receipt.eventId]?.[receipt.type]?.[receipt.userId] === undefined);
    const content = free ?? {};
    if (free === undefined) contents.push(content);
    const { eventId, type, userId, tsMs, threadId } = receipt;
    content[eventId] ??= {};
    content[eventId][type] ??= {};
    content[eventId][type][userId] = threadId === undefined ? { ts: tsMs } : { ts: tsMs, thread_id: threadId };
  }
  return contents;
}

/** Whether a receipt of a user came to a room after a position, and still stands. */
export function hasReceiptSince(reader: Reader, roomId: string, userId: string, since: Position): boolean {
  const bounds = since < 0 ? {} : { gt: [roomId, since] as const };
  for (const { value } of reader.range(roomReceipts, { prefix: [roomId], ...bounds })) {
    if (value[0] === userId) return true;
  }
  return false;
}

/** The receipts that came after a position, up to another, and still stand: whose they are, in which room. */
export function* receiptSendersSince(
  reader: Reader,
  since: Position,
  upTo: Position,
): Generator<{ readonly roomId: string; readonly userId: string }> {
  const bounds = { ...(since >= 0 && { gt: [since] as const }), lte: [upTo] as const };
  for (const { key, value: roomId } of reader.range(receiptOrder, bounds)) {
    const row = reader.get(roomReceipts, [roomId, key[0]]);
    if (row !== undefined) yield { roomId, userId: row[0] };
  }
}

/** The receipts that came after a position, up to another, in any room, and still stand. */
export function* receiptsBetween(reader: Reader, since: Position, upTo: Position): Generator<Receipt> {
  const bounds = { ...(since >= 0 && { gt: [since] as const }), lte: [upTo] as const };
  for (const { key, value: roomId } of reader.range(receiptOrder, bounds)) {
    const row = reader.get(roomReceipts, [roomId, key[0]]);
    if (row === undefined) continue;
    const [userId, type, eventId, threadId, tsMs] = row;
    yield { userId, roomId, type, eventId, threadId: threadId === UNTHREADED ? undefined : threadId, tsMs };
  }
}

/** The rooms in which receipts came after a position, each with the position of a receipt that still stands, in their order. */
export function* receiptRoomsSince(
  reader: Reader,
  since: Position,
): Generator<{ readonly at: Position; readonly roomId: string }> {
  for (const { key, value } of reader.range(receiptOrder, since < 0 ? {} : { gt: [since] })) {
    yield { at: key[0], roomId: value };
  }
}

/** The latest receipt of a user in a room, of one type, for the whole room or one thread. */
export function latestReceipt(
  reader: Reader,
  roomId: string,
  userId: string,
  type: ReceiptType,
  threadId: string = UNTHREADED,
): LatestReceiptRow | undefined {
  return reader.get(latestReceipts, [roomId, userId, type, threadId]);
}

/** All latest receipts of a user in a room: what unread counts are made of. */
export function* receiptsOf(
  reader: Reader,
  roomId: string,
  userId: string,
): Generator<LatestReceiptRow & { readonly type: ReceiptType; readonly threadId: string | undefined }> {
  for (const { key, value } of reader.range(latestReceipts, { prefix: [roomId, userId] })) {
    const [, , type, threadId] = key;
    yield { ...value, type: type as ReceiptType, threadId: threadId === UNTHREADED ? undefined : threadId };
  }
}
