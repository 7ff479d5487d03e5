/**
 * The records of a user stream that are about keys for encryption. Each has one section, a MessagePack map of the fields
 * below.
 */
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { packedRecord, unpackSection } from './packed-record.ts';

/** A one-time or fallback key as it was published. */
export interface PublishedKey {
  readonly algorithm: string;
  /** What comes after the algorithm and the colon. */
  readonly keyId: string;
  /** JSON text of the key: a string or an object. */
  readonly keyJson: string;
}

/** A key that was given away. */
export interface ClaimedKey {
  readonly deviceId: string;
  readonly algorithm: string;
  readonly keyId: string;
  /** A fallback key stays; from now on it counts as used. */
  readonly isFallback: boolean;
}

/** A signature on somebody's key. */
export interface KeySignature {
  /** Whose key was signed. */
  readonly targetUserId: string;
  /** A device id, or the public key of a cross-signing key. */
  readonly targetKeyId: string;
  /** With the algorithm: `ed25519:…`. */
  readonly signingKeyId: string;
  /** As it was sent: unpadded base64. */
  readonly signature: string;
}

/** The fields of each kind. */
export interface KeyRecords {
  'keys.uploaded': {
    readonly userId: string;
    readonly deviceId: string;
    /** JSON text of the device's own keys; null where they stay. */
    readonly deviceKeysJson: string | null;
    readonly oneTimeKeys: readonly PublishedKey[];
    readonly fallbackKeys: readonly PublishedKey[];
  };
  'keys.claimed': {
    readonly userId: string;
    /** Who got them. */
    readonly claimedBy: string;
    readonly keys: readonly ClaimedKey[];
  };
  /** JSON texts; null for what stays as it is. */
  'cross_signing.uploaded': {
    readonly userId: string;
    readonly masterJson: string | null;
    readonly selfSigningJson: string | null;
    readonly userSigningJson: string | null;
  };
  'signatures.uploaded': {
    /** Who signed. */
    readonly userId: string;
    readonly signatures: readonly KeySignature[];
  };
}

export type KeyRecordKind = keyof KeyRecords;

/** A record about keys with its fields. */
export type KeyRecord = {
  [Kind in KeyRecordKind]: { readonly kind: Kind; readonly fields: KeyRecords[Kind] };
}[KeyRecordKind];

const KINDS: Readonly<Record<KeyRecordKind, true>> = {
  'keys.uploaded': true,
  'keys.claimed': true,
  'cross_signing.uploaded': true,
  'signatures.uploaded': true,
};

/** A record to append. `id` is 16 random bytes. */
export function keyRecord<Kind extends KeyRecordKind>(
  id: Uint8Array,
  kind: Kind,
  fields: KeyRecords[Kind],
): RecordDraft {
  return packedRecord(id, kind, [fields]);
}

/** What a record about keys says; undefined for other kinds, and where its key was destroyed. */
export function readKeyRecord(record: LogRecord): KeyRecord | undefined {
  if (!isKeyKind(record.kind)) return undefined;
  const fields = unpackSection(record, record.kind, 0);
  return fields === undefined ? undefined : ({ kind: record.kind, fields } as KeyRecord);
}

function isKeyKind(kind: string): kind is KeyRecordKind {
  return Object.hasOwn(KINDS, kind);
}
