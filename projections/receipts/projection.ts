/** Who has read what: the latest receipt of each user, room, type and thread. */
import type { Projection } from '#projections/engine/projection.ts';
import { defineTable, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';
import { RECEIPT_SENT, type ReceiptType, readReceipt } from './records.ts';

/** Stands for "for the whole room" in keys: no thread id is empty. */
export const UNTHREADED = '';

/** The latest receipt of one key, and when it came. */
export interface LatestReceiptRow {
  readonly at: Position;
  readonly eventId: string;
  readonly tsMs: number;
}

/** A receipt in the order in which receipts came to a room. */
export type RoomReceiptRow = readonly [
  userId: string,
  type: ReceiptType,
  eventId: string,
  threadId: string,
  tsMs: number,
];

export const latestReceipts = defineTable({
  name: 'receipts.latest',
  key: tuple<[roomId: string, userId: string, type: string, threadId: string]>(str, str, str, str),
  value: msgpack<LatestReceiptRow>(),
  why: 'A new receipt replaces the one of its user, type and thread; unread counts look up those of one user.',
  hide: (_, receipt, { positions }) => (positions.has(receipt.at) ? undefined : receipt),
});

export const roomReceipts = defineTable({
  name: 'receipts.by-room',
  key: tuple<[roomId: string, at: number]>(str, u48),
  value: msgpack<RoomReceiptRow>(),
  why: 'A sync asks for the receipts of a room after a position: one range, with all that the answer says.',
  hide: ([, at], receipt, { positions }) => (positions.has(at) ? undefined : receipt),
});

export const receiptOrder = defineTable({
  name: 'receipts.order',
  key: tuple<[at: number]>(u48),
  value: str,
  why: 'In which rooms receipts came after a position is one range, so that a sync need not look into each of its rooms.',
});

export const receiptsProjection: Projection = {
  name: 'receipts',
  version: 1,
  tables: [latestReceipts, roomReceipts, receiptOrder],
  apply(tx, record) {
    if (record.kind !== RECEIPT_SENT) return;
    const receipt = readReceipt(record);
    if (receipt === undefined) return;
    const { roomId, userId, type, eventId, threadId = UNTHREADED, tsMs } = receipt;
    const before = tx.get(latestReceipts, [roomId, userId, type, threadId]);
    if (before !== undefined) {
      tx.remove(roomReceipts, [roomId, before.at]);
      tx.remove(receiptOrder, [before.at]);
    }
    tx.put(latestReceipts, [roomId, userId, type, threadId], { at: record.position, eventId, tsMs });
    tx.put(roomReceipts, [roomId, record.position], [userId, type, eventId, threadId, tsMs]);
    tx.put(receiptOrder, [record.position], roomId);
    // A private receipt concerns nobody but its sender.
    tx.touch(type === 'm.read.private' ? `user:${userId}` : `room:${roomId}`);
  },
};
