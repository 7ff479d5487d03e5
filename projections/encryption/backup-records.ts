/**
 * The records of a user stream that are about backups of room keys. Section 0 of each is a MessagePack map of the fields
 * below, but for what has a section of its own (1): the authentication data, and the encrypted keys.
 */
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { packedRecord, unpackSection } from './packed-record.ts';

/** An encrypted room key as it was put into a backup. */
export interface BackedUpKey {
  readonly roomId: string;
  readonly sessionId: string;
  readonly firstMessageIndex: number;
  readonly forwardedCount: number;
  readonly isVerified: boolean;
  /** JSON text of the encrypted key. */
  readonly sessionDataJson: string;
}

/** The fields of each kind. */
export interface BackupRecords {
  'key_backup.created': {
    readonly userId: string;
    /** 1, 2, 3, …: never the same again for one user. */
    readonly version: number;
    readonly algorithm: string;
    /** JSON text. */
    readonly authDataJson: string;
  };
  'key_backup.updated': { readonly userId: string; readonly version: number; readonly authDataJson: string };
  'key_backup.deleted': { readonly userId: string; readonly version: number };
  'key_backup.keys_stored': {
    readonly userId: string;
    readonly version: number;
    readonly keys: readonly BackedUpKey[];
  };
  /** All keys, those of a room, or one; null where it does not matter which. */
  'key_backup.keys_removed': {
    readonly userId: string;
    readonly version: number;
    readonly roomId: string | null;
    readonly sessionId: string | null;
  };
}

export type BackupRecordKind = keyof BackupRecords;

/** A record about backups with its fields. */
export type BackupRecord = {
  [Kind in BackupRecordKind]: { readonly kind: Kind; readonly fields: BackupRecords[Kind] };
}[BackupRecordKind];

/** The field of each kind that has a section of its own. */
const APART = {
  'key_backup.created': 'authDataJson',
  'key_backup.updated': 'authDataJson',
  'key_backup.deleted': undefined,
  'key_backup.keys_stored': 'keys',
  'key_backup.keys_removed': undefined,
} as const satisfies Readonly<Record<BackupRecordKind, string | undefined>>;

/** A record to append. `id` is 16 random bytes. */
export function backupRecord<Kind extends BackupRecordKind>(
  id: Uint8Array,
  kind: Kind,
  fields: BackupRecords[Kind],
): RecordDraft {
  const apart = APART[kind];
  if (apart === undefined) return packedRecord(id, kind, [fields]);
  const { [apart]: section, ...others } = fields as unknown as Readonly<Record<string, unknown>>;
  return packedRecord(id, kind, [others, section]);
}

/** What a record about backups says; undefined for other kinds, and where a key of it was destroyed. */
export function readBackupRecord(record: LogRecord): BackupRecord | undefined {
  const { kind } = record;
  if (!isBackupKind(kind)) return undefined;
  const fields = unpackSection(record, kind, 0) as object | undefined;
  if (fields === undefined) return undefined;
  const apart = APART[kind];
  if (apart === undefined) return { kind, fields } as BackupRecord;
  const section = unpackSection(record, kind, 1);
  return section === undefined ? undefined : ({ kind, fields: { ...fields, [apart]: section } } as BackupRecord);
}

function isBackupKind(kind: string): kind is BackupRecordKind {
  return Object.hasOwn(APART, kind);
}
