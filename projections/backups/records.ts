/**
 * The records of the stream `server-backups`: what was backed up, which drills were held, and that this log was restored. One
 * section each, msgpack of the fields below.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const BACKUPS_STREAM = 'server-backups';
export const BACKUP_MADE = 'backup.made';
export const BACKUP_PRUNED = 'backup.pruned';
export const BACKUP_DRILLED = 'backup.drilled';
export const BACKUP_RESTORED = 'backup.restored';

/** A generation was made. */
export interface BackupMade {
  readonly generation: string;
  readonly records: number;
  readonly checkpoint: string;
  /** What was written for it, beside what was there already. */
  readonly copiedBytes: number;
  readonly hasKeyring: boolean;
}

/** Generations are to be removed, recorded before they are; or are kept though they are due. */
export interface BackupPruned {
  readonly removed: readonly string[];
  readonly kept: readonly { readonly generation: string; readonly reason: string }[];
}

/** A generation was restored to a temporary folder, to see whether it can be. */
export interface BackupDrilled {
  readonly generation: string;
  readonly passed: boolean;
  readonly records: number;
  /** The first checkpoint that the restored log was held against and matched, as it was signed; null where none did. */
  readonly firstVerifiedCheckpoint: string | null;
  readonly seconds: number;
  /** What was wrong, in sentences. */
  readonly findings: readonly string[];
}

/** This log is what a backup held, and goes on from there. Written before anything else after a restore. */
export interface BackupRestored {
  readonly generation: string;
  /** Records that were kept: the position of this record, which follows them. */
  readonly records: number;
  /** The checkpoint of the backup: of as many records, or of more where the log was cut at an earlier moment. */
  readonly checkpoint: string;
  /** The public keys of the log before and after: it goes on under another, since it may contradict what the old one signed. */
  readonly oldLogKey: string;
  readonly newLogKey: string;
  /** Sections whose keys the backup still had and that were destroyed again. */
  readonly erasuresApplied: number;
  /** Milliseconds since the epoch. */
  readonly restoredAtMs: number;
}

interface Fields {
  readonly [BACKUP_MADE]: BackupMade;
  readonly [BACKUP_PRUNED]: BackupPruned;
  readonly [BACKUP_DRILLED]: BackupDrilled;
  readonly [BACKUP_RESTORED]: BackupRestored;
}

/** A record of the stream, read. */
export type BackupRecord = {
  readonly [Kind in keyof Fields]: { readonly kind: Kind; readonly fields: Fields[Kind] };
}[keyof Fields];

const packr = new Packr({ useRecords: false });

/** A record of the stream. */
export function backupRecord(id: Uint8Array, { kind, fields }: BackupRecord): RecordDraft {
  return { id, kind, version: recordKinds[kind].version, sections: [packr.pack(fields)] };
}

/** What a record says; undefined for one of another kind, or whose key was destroyed. */
export function readBackupRecord(record: LogRecord): BackupRecord | undefined {
  const [section] = record.sections;
  if (!isBackupKind(record.kind) || !section) return undefined;
  return { kind: record.kind, fields: packr.unpack(section) } as BackupRecord;
}

function isBackupKind(kind: string): kind is keyof Fields {
  return kind === BACKUP_MADE || kind === BACKUP_PRUNED || kind === BACKUP_DRILLED || kind === BACKUP_RESTORED;
}
