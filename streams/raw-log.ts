/**
 * The log as it is stored: headers and sealed sections, no keys needed. What the transparency tree is built from, what a
 * proof carries, and what verification reads.
 */
import type { EventLog, LogRecord, Position } from './event-log.ts';
import type { SectionCheck } from './section-check.ts';

/** One record as stored. The buffers belong to the caller. */
export interface RawRecord {
  readonly position: Position;
  /** See record-format.ts. */
  readonly header: Buffer;
  /** Each section as stored: sealed bytes, never plain ones. */
  readonly sealedSections: readonly Buffer[];
  /** The record's leaf hash, computed from the stored bytes. */
  readonly leaf: Buffer;
  /**
   * Slot of the keyring that holds the first section's key; the further sections' keys follow. Not part of the leaf, and
   * absent in a record that does not come from a log's own files.
   */
  readonly firstKeySlot?: number;
}

/** Called in log order with the leaf hashes (32 bytes each) of every committed batch, before subscribers see its records. */
export type OnCommit = (leaves: readonly Uint8Array[]) => void;

/** Reads of stored records. Every read checks the frame's checksum and throws `Damaged` where it does not match. */
export interface RawLog {
  /** Position of the last durable record, or `BEFORE_FIRST`. In the embedded driver positions are 0, 1, 2, … = leaf indexes. */
  head(): Position;
  /** Leaf hashes (32 bytes each) of the records after `from` (exclusive), in batches, up to the head at the time of the call. */
  readLeaves(from: Position): AsyncIterable<readonly Buffer[]>;
  /** One record by position, or undefined. */
  readRaw(position: Position): Promise<RawRecord | undefined>;
  /** The records after `from` (exclusive), in batches, up to the head at the time of the call. */
  readAllRaw(from: Position): AsyncIterable<readonly RawRecord[]>;
}

/** What verification reads a log through. */
export interface ScannableLog {
  /**
   * The records after `from` (exclusive) up to `to`, in batches. The buffers of a batch are overwritten when the next one is
   * asked for.
   */
  scanRaw(from: Position, to: Position): AsyncIterable<readonly RawRecord[]>;
  /** Opens stored records; throws `Damaged` for all if one does not open. Rejects when the log was opened without keys. */
  openRecords(records: readonly RawRecord[]): Promise<readonly LogRecord[]>;
  /** Whether the sections of stored records open with their keys; costs less than opening them for what they say. */
  checkSections(records: readonly RawRecord[]): Promise<SectionCheck>;
}

/**
 * What one thread has found out about the files of a log, for others of the process that are to read it. Plain data, with
 * what is large in shared memory.
 */
export interface LogLayout {
  /** Folder of the log. */
  readonly folder: string;
  /** Where its master key is, if not in the folder. */
  readonly masterKeyFile: string | undefined;
  readonly segments: readonly {
    readonly firstPosition: Position;
    /** Durable records. */
    readonly count: number;
    /** Where the last of them ends. */
    readonly end: number;
    /** Where each of them starts; undefined where the segment's index file says so. */
    readonly offsets: Uint32Array | undefined;
  }[];
}

/** A log opened for reading beside the server that writes it. It shows whole, durable commits only. */
export interface ReadOnlyLog extends RawLog, ScannableLog, Pick<EventLog, 'readStream' | 'readAll' | 'readAt'> {
  /** Looks for records that were committed since; gives the new head. */
  refresh(): Promise<Position>;
  /** The opened form of a stored record; throws `Damaged` if it does not open. Rejects when opened without keys. */
  openRecord(record: RawRecord): Promise<LogRecord>;
  /** What another thread needs to read what this one has found so far; see scan-log.ts. */
  layout(): LogLayout;
  /**
   * The keys of a stored record's sections, `null` where destroyed: for proofs that reveal what a record says. The bytes
   * belong to the caller. Rejects when opened without keys.
   */
  sectionKeys(record: RawRecord): Promise<readonly (Buffer | null)[]>;
  close(): Promise<void>;
}
