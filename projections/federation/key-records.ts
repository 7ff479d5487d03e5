/**
 * The records about signing keys: `federation.keys_seen` in the stream `server-keys-seen`, what other servers said of their keys;
 * and `signing_key.activated` in `server-signing-key`, with which key this server signs from then on. One section each, msgpack.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const KEYS_SEEN_STREAM = 'server-keys-seen';
export const SIGNING_KEY_STREAM = 'server-signing-key';

const KEYS_SEEN = 'federation.keys_seen';
const KEY_ACTIVATED = 'signing_key.activated';

/** A key that an answer lists. */
export interface SeenKey {
  /** With its algorithm, which is Ed25519. */
  readonly keyId: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** When it was last used, in milliseconds since the epoch; undefined for a key that is in use. */
  readonly expiredTs: number | undefined;
}

/** An answer of a server about its keys, checked: it is signed by each key in use that it lists. */
export interface KeysSeen {
  readonly serverName: string;
  /** When, in milliseconds since the epoch. */
  readonly fetchedAtMs: number;
  /** As the server says; milliseconds since the epoch. */
  readonly validUntilTs: number;
  /** The server that passed it on; undefined where the server itself answered. */
  readonly notary: string | undefined;
  readonly keys: readonly SeenKey[];
  /** The answer as JSON text, with the server's own signatures and no others: to be passed on. */
  readonly json: string;
}

type StoredKeys = [
  serverName: string,
  fetchedAtMs: number,
  validUntilTs: number,
  notary: string | null,
  keys: [keyId: string, publicKey: Uint8Array, expiredTs: number | null][],
  json: string,
];

const packr = new Packr({ useRecords: false, copyBuffers: true });

/** The record of an answer. */
export function keysSeenRecord(id: Uint8Array, seen: KeysSeen): RecordDraft {
  const stored: StoredKeys = [
    seen.serverName,
    seen.fetchedAtMs,
    seen.validUntilTs,
    seen.notary ?? null,
    seen.keys.map(({ keyId, publicKey, expiredTs }) => [keyId, publicKey, expiredTs ?? null]),
    seen.json,
  ];
  return { id, kind: KEYS_SEEN, version: recordKinds[KEYS_SEEN].version, sections: [packr.pack(stored)] };
}

/** What a `federation.keys_seen` record says; undefined for other records, and where its key was destroyed. */
export function readKeysSeen({ kind, sections }: LogRecord): KeysSeen | undefined {
  const section = sections[0];
  if (kind !== KEYS_SEEN || !section) return undefined;
  const [serverName, fetchedAtMs, validUntilTs, notary, keys, json] = packr.unpack(section) as StoredKeys;
  return {
    serverName,
    fetchedAtMs,
    validUntilTs,
    notary: notary ?? undefined,
    keys: keys.map(([keyId, publicKey, expiredTs]) => ({ keyId, publicKey, expiredTs: expiredTs ?? undefined })),
    json,
  };
}

/** With which key this server signs from now on; the one before it is an old one from then on. */
export interface KeyActivated {
  readonly keyId: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** The record of a change of this server's signing key. */
export function keyActivatedRecord(id: Uint8Array, { keyId, publicKey }: KeyActivated): RecordDraft {
  const sections = [packr.pack([keyId, publicKey])];
  return { id, kind: KEY_ACTIVATED, version: recordKinds[KEY_ACTIVATED].version, sections };
}

/** What a `signing_key.activated` record says; undefined for other records, and where its key was destroyed. */
export function readKeyActivated({ kind, sections }: LogRecord): KeyActivated | undefined {
  const section = sections[0];
  if (kind !== KEY_ACTIVATED || !section) return undefined;
  const [keyId, publicKey] = packr.unpack(section) as [string, Uint8Array];
  return { keyId, publicKey };
}
