/** The `receipt.sent` record of a user stream: one section, msgpack `[userId, roomId, type, eventId, threadId | null, tsMs]`. */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const RECEIPT_SENT = 'receipt.sent';

/** What a receipt says: read by everybody's leave, or privately. `m.fully_read` is account data, not a receipt. */
export const RECEIPT_TYPES = ['m.read', 'm.read.private'] as const;
export type ReceiptType = (typeof RECEIPT_TYPES)[number];

/** A user has read up to an event. */
export interface Receipt {
  readonly userId: string;
  readonly roomId: string;
  readonly type: ReceiptType;
  readonly eventId: string;
  /** `main`, the id of a thread's root, or undefined for a receipt that is for the whole room. */
  readonly threadId: string | undefined;
  /** When, in milliseconds since the epoch. */
  readonly tsMs: number;
}

type Stored = [userId: string, roomId: string, type: number, eventId: string, threadId: string | null, tsMs: number];

const packr = new Packr({ useRecords: false });

/** The record of a receipt. */
export function receiptRecord(id: Uint8Array, receipt: Receipt): RecordDraft {
  const stored: Stored = [
    receipt.userId,
    receipt.roomId,
    RECEIPT_TYPES.indexOf(receipt.type),
    receipt.eventId,
    receipt.threadId ?? null,
    receipt.tsMs,
  ];
  return {
    id,
    kind: RECEIPT_SENT,
    version: recordKinds[RECEIPT_SENT].version,
    sections: [packr.pack(stored)],
    decoded: receipt,
  };
}

/** What a `receipt.sent` record says; undefined where its key was destroyed. */
export function readReceipt(record: LogRecord): Receipt | undefined {
  if (record.decoded !== undefined) return record.decoded as Receipt;
  const section = record.sections[0];
  if (!section) return undefined;
  const [userId, roomId, type, eventId, threadId, tsMs] = packr.unpack(section) as Stored;
  const known = RECEIPT_TYPES[type];
  return known && { userId, roomId, type: known, eventId, threadId: threadId ?? undefined, tsMs };
}
