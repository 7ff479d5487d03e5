/** Messages to devices of users of other servers that their servers have not got yet. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { bytes, defineTable, empty, str, tuple, u32, u48 } from '#projections/engine/table.ts';
import { readSentRecord } from '#projections/federation/sent-records.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { TRANSACTION_BYTES, TRANSACTION_WINDOW } from './inbox-projection.ts';
import { OUTBOX_QUEUED, readQueued } from './outbox-records.ts';

/** Begins the topic that says that there is something new for a server. */
export const OUTBOX_TOPIC = 'outbox:';
/** Most messages that wait for one server; of one that never comes back the oldest go. */
export const MAX_QUEUED_PER_SERVER = 200_000;
/** Forgotten with each message at most: more than come in with it. */
const FORGET_AT_ONCE = 4;

const messages = defineTable({
  name: 'outbox.messages',
  key: tuple<[destination: string, at: number, index: number]>(str, u48, u32),
  value: str,
  why: 'What a server has to get after a position is one range, of contents of EDUs as they are sent.',
  hide: ([, at], text, { positions }) => (positions.has(at) ? undefined : text),
});

const messageCounts = defineTable({
  name: 'outbox.message-counts',
  key: tuple<[destination: string]>(str),
  value: u48,
  why: 'How many messages wait is bounded, and says for which servers any do.',
});

const transactions = defineTable({
  name: 'outbox.transactions',
  key: tuple<[destination: string, transaction: Uint8Array]>(str, bytes(TRANSACTION_BYTES)),
  value: u48,
  why: 'A request that is made again, also after a crash in its middle, finds for which servers its messages were queued.',
});

const transactionsByAge = defineTable({
  name: 'outbox.transactions-by-age',
  key: tuple<[at: number, destination: string, transaction: Uint8Array]>(u48, str, bytes(TRANSACTION_BYTES)),
  value: empty,
  why: 'Finds the transactions that are old enough to be forgotten.',
});

export const outboxProjection: Projection = {
  name: 'outbox',
  version: 2,
  tables: [messages, messageCounts, transactions, transactionsByAge],
  apply(tx, record) {
    if (record.kind === OUTBOX_QUEUED) applyQueued(tx, record);
    for (const [destination, position] of readSentRecord(record) ?? []) {
      if (position < 0) continue;
      const removed = tx.removeRange(messages, { prefix: [destination], lte: [destination, position] });
      addToCount(tx, destination, -removed);
    }
  },
};

/** A message that waits, and where it is in the log. */
export interface QueuedMessage {
  readonly at: Position;
  /** Content of an `m.direct_to_device` EDU, as JSON text. */
  readonly contentJson: string;
}

/** What waits for a server after a position, in order. */
export function* queuedMessages(reader: Reader, destination: string, after: Position): Generator<QueuedMessage> {
  const bounds = after < 0 ? {} : { gt: [destination, after] as const };
  for (const { key, value } of reader.range(messages, { prefix: [destination], ...bounds })) {
    yield { at: key[1], contentJson: value };
  }
}

/** The servers for which messages wait that came after a position, each once. */
export function* queuedDestinations(reader: Reader, after: Position): Generator<string> {
  for (const [destination] of reader.keys(messageCounts)) {
    for (const _ of queuedMessages(reader, destination, after)) {
      yield destination;
      break;
    }
  }
}

/** Whether the messages of a transaction were queued for a server already. */
export function isQueued(reader: Reader, destination: string, transaction: Uint8Array): boolean {
  return reader.has(transactions, [destination, transaction]);
}

function applyQueued(tx: Writer, record: LogRecord): void {
  const read = readQueued(record);
  if (read === undefined) return;
  const { destination, transaction, contents } = read;
  for (const [index, content] of contents.entries()) tx.put(messages, [destination, record.position, index], content);
  addToCount(tx, destination, contents.length);
  const surplus = (tx.get(messageCounts, [destination]) ?? 0) - MAX_QUEUED_PER_SERVER;
  if (surplus > 0) {
    addToCount(tx, destination, -tx.removeRange(messages, { prefix: [destination], limit: surplus }));
  }
  tx.put(transactions, [destination, transaction], record.position);
  tx.put(transactionsByAge, [record.position, destination, transaction], true);
  forgetOldTransactions(tx, record.position - TRANSACTION_WINDOW);
  tx.touch(`${OUTBOX_TOPIC}${destination}`);
}

function addToCount(tx: Writer, destination: string, difference: number): void {
  const count = (tx.get(messageCounts, [destination]) ?? 0) + difference;
  if (count > 0) tx.put(messageCounts, [destination], count);
  else tx.remove(messageCounts, [destination]);
}

function forgetOldTransactions(tx: Writer, upTo: Position): void {
  if (upTo < 0) return;
  for (const key of [...tx.keys(transactionsByAge, { lte: [upTo], limit: FORGET_AT_ONCE })]) {
    const [at, destination, transaction] = key;
    tx.remove(transactionsByAge, key);
    if (tx.get(transactions, [destination, transaction]) === at) tx.remove(transactions, [destination, transaction]);
  }
}
