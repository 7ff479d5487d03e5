import { hash } from 'node:crypto';
import type { Transaction } from './pdu-record.ts';

const HASH_EVENT_ID = /^\$[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const TAG_HASH = 0;
const TAG_TEXT = 1;
const TRANSACTION_KEY_BYTES = 16;

/** An event id as a key: 33 bytes where it is a hash, else a tag and its text. */
export function eventIdKey(eventId: string): [Uint8Array] {
  if (HASH_EVENT_ID.test(eventId)) {
    const key = Buffer.allocUnsafe(33);
    key[0] = TAG_HASH;
    key.write(eventId.slice(1), 1, 'base64url');
    return [key];
  }
  return [Buffer.concat([Buffer.of(TAG_TEXT), Buffer.from(eventId, 'utf8')])];
}

/** The key of a transaction, and what else it is made of. */
interface KnownKey {
  readonly userId: string;
  readonly roomId: string;
  readonly type: string;
  readonly key: Uint8Array;
}

/** Keys of transactions under way: whoever sends an event looks for its row, which is written from the same object a moment later. */
const knownKeys = new WeakMap<Transaction, KnownKey>();

/**
 * A transaction as a key. An id counts for one device and one endpoint; the room and the type of event stand for the
 * endpoint. Source: client-server API, "Transaction identifiers".
 */
export function transactionKey(userId: string, roomId: string, type: string, transaction: Transaction): [Uint8Array] {
  const known = knownKeys.get(transaction);
  if (known !== undefined && known.userId === userId && known.roomId === roomId && known.type === type) {
    return [known.key];
  }
  const { deviceId, txnId } = transaction;
  // The lengths keep the parts apart, whatever characters a client puts in them.
  const text = `${userId.length}:${userId}${deviceId.length}:${deviceId}${roomId.length}:${roomId}${type.length}:${type}${txnId}`;
  return [Buffer.from(hash('sha256', text, 'binary'), 'latin1').subarray(0, TRANSACTION_KEY_BYTES)];
}

/** The same for a transaction that will be asked for again: its key is not made a second time. */
export function keptTransactionKey(
  userId: string,
  roomId: string,
  type: string,
  transaction: Transaction,
): [Uint8Array] {
  const [key] = transactionKey(userId, roomId, type, transaction);
  knownKeys.set(transaction, { userId, roomId, type, key });
  return [key];
}
