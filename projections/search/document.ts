/** One event as it is indexed, and how a few of them are kept before they are many enough for a block. */
import { hash } from 'node:crypto';
import { serverNameOf } from '#protocol/identifiers.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

/** Which key of an event's content the words are of. */
export const SEARCH_KEYS = ['content.body', 'content.name', 'content.topic'] as const;
export type SearchKey = (typeof SEARCH_KEYS)[number];

/** Bytes of an event id's hash. Two events of one room share one with a chance of one in 10^12. */
export const ID_HASH_BYTES = 5;
/** Bytes of the hash of a server's name: enough to tell whose events somebody on it may redact. */
export const SERVER_HASH_BYTES = 2;
/** Greatest number of words that is told apart; longer texts all count as so long. */
export const MAX_COUNTED_WORDS = 63;

/** What the index says of an event beside its words. */
export interface DocumentHead {
  /** The event. */
  readonly position: number;
  /** When it was sent, in seconds since the epoch. */
  readonly sentAtS: number;
  readonly idHash: Uint8Array;
  /** Of the server whose user sent it. */
  readonly serverHash: number;
  /** Which of {@link SEARCH_KEYS}. */
  readonly key: number;
  /** Number of words, at most {@link MAX_COUNTED_WORDS}. */
  readonly length: number;
}

/** An event to be indexed. */
export interface Document extends DocumentHead {
  /** Its words with how often each is in it. */
  readonly words: ReadonlyMap<string, number>;
}

let hashedServer = { name: '', hash: hashOfServer('') };

/** A short stand-in for the name of a user's server. */
export function serverHashOf(userId: string): number {
  const server = serverNameOf(userId) ?? '';
  // Most events come from the server that the last one came from.
  if (server !== hashedServer.name) hashedServer = { name: server, hash: hashOfServer(server) };
  return hashedServer.hash;
}

function hashOfServer(name: string): number {
  return hash('sha256', name, 'buffer').readUIntLE(0, SERVER_HASH_BYTES);
}

/** A short stand-in for an event id, to find the event when it is redacted. */
export function idHashOf(eventId: string): Uint8Array {
  return Uint8Array.from(hash('sha256', eventId, 'buffer').subarray(0, ID_HASH_BYTES));
}

/** What is written is copied out of it before anything else is. */
const writer = new ByteWriter();

/** A list of at most 255 documents as bytes: their number, then each. */
export function encodeTail(documents: readonly Document[]): Buffer {
  writer.clear();
  writer.byte(documents.length);
  writeDocuments(documents);
  return writer.taken();
}

/** A list with one more document behind. */
export function extendedTail(tail: Buffer, document: Document): Buffer {
  writer.clear();
  writer.byte(tailLength(tail) + 1);
  writer.bytes(tail.subarray(1));
  writeDocuments([document]);
  return writer.taken();
}

/** How many documents are in a list. */
export function tailLength(tail: Buffer): number {
  return tail[0] ?? 0;
}

function writeDocuments(documents: readonly Document[]): void {
  for (const { position, sentAtS, idHash, serverHash, key, length, words } of documents) {
    writer.varint(position);
    writer.varint(sentAtS);
    writer.bytes(idHash);
    writer.varint(serverHash);
    writer.byte((key << 6) | length);
    writer.varint(words.size);
    for (const [word, count] of words) {
      writer.text(word);
      writer.varint(count);
    }
  }
}

/** The documents of a list. */
export function decodeTail(tail: Buffer): Document[] {
  const reader = new ByteReader(tail, 1);
  const documents: Document[] = [];
  while (!reader.isAtEnd) {
    const position = reader.varint();
    const sentAtS = reader.varint();
    const idHash = reader.bytes(ID_HASH_BYTES);
    const serverHash = reader.varint();
    const meta = reader.byte();
    const words = new Map<string, number>();
    for (let left = reader.varint(); left > 0; left -= 1) words.set(reader.text(), reader.varint());
    documents.push({ position, sentAtS, idHash, serverHash, key: meta >> 6, length: meta & 63, words });
  }
  return documents;
}
