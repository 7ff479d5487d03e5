/** The signing keys of other servers, as they said and for as long as they said; and the keys that this server has had. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';
import { type KeysSeen, readKeyActivated, readKeysSeen, type SeenKey } from './key-records.ts';

/** Most keys that are kept of one server; what it adds beyond them is ignored. */
export const MAX_KEYS_PER_SERVER = 256;

/** A key of another server. */
export interface ServerKeyRow {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Until when its server vouches for it, as it says; milliseconds since the epoch. */
  readonly validUntilTs: number;
  /** When it was last used; undefined for a key that is in use. */
  readonly expiredTs: number | undefined;
  /** Whether the server itself said so, not a notary. */
  readonly isDirect: boolean;
  /** When that was, in milliseconds since the epoch. */
  readonly fetchedAtMs: number;
  /** The answer that says so. */
  readonly answerAt: Position;
}

/** An answer about keys, as its server signed it. */
export interface KeyAnswerRow {
  readonly json: string;
  readonly validUntilTs: number;
  readonly fetchedAtMs: number;
}

/** A key that this server signs with, or has signed with. */
export interface OwnKeyRow {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly activatedAtMs: number;
  /** When another took its place, in milliseconds since the epoch; undefined for the one in use. */
  readonly expiredTs: number | undefined;
}

const serverKeys = defineTable({
  name: 'federation-keys.keys',
  key: tuple<[serverName: string, keyId: string]>(str, str),
  value: msgpack<ServerKeyRow>(),
  why: 'A signature names its server and key; a key stays known when its server does not list it any more.',
});

const keyAnswers = defineTable({
  name: 'federation-keys.answers',
  key: tuple<[serverName: string, at: Position]>(str, u48),
  value: msgpack<KeyAnswerRow>(),
  why: 'A notary passes on what a server signed, so the latest answer about each key is kept, each answer once.',
});

const ownKeys = defineTable({
  name: 'federation-keys.own',
  key: tuple<[keyId: string]>(str),
  value: msgpack<OwnKeyRow>(),
  why: 'Old keys are published for as long as there are events that they signed.',
});

export const federationKeysProjection: Projection = {
  name: 'federation-keys',
  version: 1,
  tables: [serverKeys, keyAnswers, ownKeys],
  apply(tx, record) {
    const seen = readKeysSeen(record);
    if (seen !== undefined) {
      applyKeysSeen(tx, record.position, seen);
      return;
    }
    const activated = readKeyActivated(record);
    if (activated === undefined) return;
    for (const { key, value } of [...tx.range(ownKeys)]) {
      if (value.expiredTs === undefined) tx.put(ownKeys, key, { ...value, expiredTs: record.recordedAtMs });
    }
    tx.put(ownKeys, [activated.keyId], {
      publicKey: activated.publicKey,
      activatedAtMs: record.recordedAtMs,
      expiredTs: undefined,
    });
  },
};

function applyKeysSeen(tx: Writer, at: Position, seen: KeysSeen): void {
  const { serverName } = seen;
  const known = new Map(
    Array.from(tx.range(serverKeys, { prefix: [serverName] }), ({ key, value }) => [key[1], value]),
  );
  const before = new Set(Array.from(known.values(), ({ answerAt }) => answerAt));
  for (const key of seen.keys) {
    const row = known.get(key.keyId);
    if (row === undefined ? known.size >= MAX_KEYS_PER_SERVER : !isBetter(seen, key, row)) continue;
    const next: ServerKeyRow = {
      publicKey: key.publicKey,
      validUntilTs: seen.validUntilTs,
      expiredTs: key.expiredTs,
      isDirect: seen.notary === undefined,
      fetchedAtMs: seen.fetchedAtMs,
      answerAt: at,
    };
    known.set(key.keyId, next);
    tx.put(serverKeys, [serverName, key.keyId], next);
  }
  const used = new Set(Array.from(known.values(), ({ answerAt }) => answerAt));
  if (used.has(at)) {
    const { json, validUntilTs, fetchedAtMs } = seen;
    tx.put(keyAnswers, [serverName, at], { json, validUntilTs, fetchedAtMs });
  }
  for (const answerAt of before) if (!used.has(answerAt)) tx.remove(keyAnswers, [serverName, answerAt]);
}

/**
 * Whether an answer replaces what is known of a key. What the server itself says always does; what a notary passes on only if it
 * says more of the same key, or nothing but notaries has been heard so far.
 */
function isBetter(seen: KeysSeen, key: SeenKey, row: ServerKeyRow): boolean {
  if (seen.notary === undefined) return true;
  if (!row.isDirect) return seen.validUntilTs >= row.validUntilTs;
  return Buffer.compare(key.publicKey, row.publicKey) === 0 && seen.validUntilTs > row.validUntilTs;
}

/** What is known of a server's keys, by key id. */
export function* keysOfServer(reader: Reader, serverName: string): Generator<[keyId: string, row: ServerKeyRow]> {
  for (const { key, value } of reader.range(serverKeys, { prefix: [serverName] })) yield [key[1], value];
}

/** What is known of one key. */
export function keyOfServer(reader: Reader, serverName: string, keyId: string): ServerKeyRow | undefined {
  return reader.get(serverKeys, [serverName, keyId]);
}

/** An answer that {@link ServerKeyRow.answerAt} names. */
export function keyAnswer(reader: Reader, serverName: string, at: Position): KeyAnswerRow | undefined {
  return reader.get(keyAnswers, [serverName, at]);
}

/** The keys that this server signs with, or has signed with, by key id. */
export function* ownKeyRows(reader: Reader): Generator<[keyId: string, row: OwnKeyRow]> {
  for (const { key, value } of reader.range(ownKeys)) yield [key[0], value];
}
