/** Messages to devices that the devices have not acknowledged yet. */
import { readAccountRecord } from '#projections/accounts/records.ts';
import { devices, userStreams } from '#projections/accounts/tables.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { bytes, defineTable, empty, str, tuple, u48 } from '#projections/engine/table.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { INBOX_ACKNOWLEDGED, INBOX_DELIVERED, readAcknowledged, readDelivered } from './inbox-records.ts';

/** Most messages that wait for one device; of one that never comes for them the oldest go. */
export const MAX_WAITING_PER_DEVICE = 20_000;
/** After this many positions a transaction is forgotten: a client asks again within minutes, not after a million records. */
export const TRANSACTION_WINDOW = 1_000_000;
/** Bytes of what names a transaction. */
export const TRANSACTION_BYTES = 16;
/** Forgotten with each message at most: more than come in with it. */
const FORGET_AT_ONCE = 4;

const messages = defineTable({
  name: 'inbox.messages',
  key: tuple<[userId: string, deviceId: string, at: number]>(str, str, u48),
  value: str,
  why: 'What waits for a device after a token is one range, of JSON texts as they are served.',
  hide: ([userId, , at], text, { positions, users }) => (positions.has(at) || users.has(userId) ? undefined : text),
});

const messageCounts = defineTable({
  name: 'inbox.message-counts',
  key: tuple<[userId: string, deviceId: string]>(str, str),
  value: u48,
  why: 'How many messages wait is bounded, and counting them for each new one would read them all.',
});

const transactions = defineTable({
  name: 'inbox.transactions',
  key: tuple<[userId: string, transaction: Uint8Array]>(str, bytes(TRANSACTION_BYTES)),
  value: u48,
  why: 'A request that is made again, also after a crash in its middle, finds which inboxes have its message.',
});

const transactionsByAge = defineTable({
  name: 'inbox.transactions-by-age',
  key: tuple<[at: number, userId: string, transaction: Uint8Array]>(u48, str, bytes(TRANSACTION_BYTES)),
  value: empty,
  why: 'Finds the transactions that are old enough to be forgotten.',
});

export const inboxProjection: Projection = {
  name: 'inbox',
  version: 1,
  tables: [messages, messageCounts, transactions, transactionsByAge],
  apply(tx, record) {
    if (record.kind === INBOX_DELIVERED) applyDelivered(tx, record);
    else if (record.kind === INBOX_ACKNOWLEDGED) applyAcknowledged(tx, record);
    else if (record.kind === 'device.removed') applyRemoved(tx, record);
  },
};

/** A message that waits, and where it is in the log. */
export interface WaitingMessage {
  readonly at: Position;
  /** JSON text of the event as clients get it. */
  readonly eventJson: string;
}

/** What waits for a device after a position and up to another, in the order of arrival; at most `limit`. */
export function* waitingMessages(
  reader: Reader,
  userId: string,
  deviceId: string,
  { after, upTo, limit }: { readonly after: Position; readonly upTo: Position; readonly limit: number },
): Generator<WaitingMessage> {
  // Most of the time there is nothing, and one row says so sooner than a range does.
  if (upTo < 0 || !reader.has(messageCounts, [userId, deviceId])) return;
  const bounds = after < 0 ? {} : { gt: [userId, deviceId, after] as const };
  const rows = reader.range(messages, { prefix: [userId, deviceId], ...bounds, lte: [userId, deviceId, upTo], limit });
  for (const { key, value } of rows) yield { at: key[2], eventJson: value };
}

/** Whether anything that a device has got, up to a position, is still kept for it. */
export function hasMessagesUpTo(reader: Reader, userId: string, deviceId: string, upTo: Position): boolean {
  for (const _ of waitingMessages(reader, userId, deviceId, { after: -1, upTo, limit: 1 })) return true;
  return false;
}

/** Whether a message that came in still waits for any of the devices that it is for. */
export function isWaitingForDevices(reader: Reader, record: LogRecord): boolean {
  const read = readDelivered(record);
  if (read === undefined) return false;
  return read.contents.some(([deviceIds]) =>
    deviceIds.some((deviceId) => reader.has(messages, [read.userId, deviceId, record.position])),
  );
}

/** Whether the message of a transaction came into a user's inbox already. */
export function isDelivered(reader: Reader, userId: string, transaction: Uint8Array): boolean {
  return reader.has(transactions, [userId, transaction]);
}

function applyDelivered(tx: Writer, record: LogRecord): void {
  const read = readDelivered(record);
  if (read === undefined) return;
  const { userId, sender, transaction, type, contents } = read;
  for (const [deviceIds, contentJson] of contents) {
    const eventJson = `{"content":${contentJson},"sender":${JSON.stringify(sender)},"type":${JSON.stringify(type)}}`;
    for (const deviceId of deviceIds) {
      // The device may have gone between the decision and now.
      if (!tx.has(devices, [userId, deviceId])) continue;
      tx.put(messages, [userId, deviceId, record.position], eventJson);
      addToCount(tx, userId, deviceId, 1 - removeSurplus(tx, userId, deviceId));
    }
  }
  if (transaction !== null) {
    tx.put(transactions, [userId, transaction], record.position);
    tx.put(transactionsByAge, [record.position, userId, transaction], true);
  }
  forgetOldTransactions(tx, record.position - TRANSACTION_WINDOW);
  tx.touch(`user:${userId}`);
}

function removeSurplus(tx: Writer, userId: string, deviceId: string): number {
  if ((tx.get(messageCounts, [userId, deviceId]) ?? 0) < MAX_WAITING_PER_DEVICE) return 0;
  return tx.removeRange(messages, { prefix: [userId, deviceId], limit: 1 });
}

function applyAcknowledged(tx: Writer, record: LogRecord): void {
  const read = readAcknowledged(record);
  if (read === undefined) return;
  const { userId, upTo } = read;
  for (const [deviceId, position] of upTo) {
    const removed = tx.removeRange(messages, { prefix: [userId, deviceId], lte: [userId, deviceId, position] });
    addToCount(tx, userId, deviceId, -removed);
  }
}

function addToCount(tx: Writer, userId: string, deviceId: string, difference: number): void {
  const count = (tx.get(messageCounts, [userId, deviceId]) ?? 0) + difference;
  if (count > 0) tx.put(messageCounts, [userId, deviceId], count);
  else tx.remove(messageCounts, [userId, deviceId]);
}

function forgetOldTransactions(tx: Writer, upTo: Position): void {
  if (upTo < 0) return;
  for (const key of [...tx.keys(transactionsByAge, { lte: [upTo], limit: FORGET_AT_ONCE })]) {
    const [at, userId, transaction] = key;
    tx.remove(transactionsByAge, key);
    if (tx.get(transactions, [userId, transaction]) === at) tx.remove(transactions, [userId, transaction]);
  }
}

function applyRemoved(tx: Writer, record: LogRecord): void {
  const userId = tx.get(userStreams, [record.stream]);
  const read = readAccountRecord(record);
  if (userId === undefined || read?.kind !== 'device.removed') return;
  for (const deviceId of read.fields.deviceIds) {
    tx.removeRange(messages, { prefix: [userId, deviceId] });
    tx.remove(messageCounts, [userId, deviceId]);
  }
}
