/**
 * The log as the rest of Stele sees it: named streams of records, one total order over all of them, nothing ever changed.
 * What sits below (segment files, a database) is a driver; every driver passes the same contract suite.
 */

/** Place of a record in the total order: ascending, opaque above the driver, below 2^53. The first record's is ≥ 0. */
export type Position = number;

/** Place of a record in its stream: 0, 1, 2, … without gaps. */
export type Revision = number;

/** Expected revision of a stream that must not exist yet. */
export const NO_STREAM: Revision = -1;

/** Position before the first record: where reading everything starts, and the head of an empty log. */
export const BEFORE_FIRST: Position = -1;

/** A record to be appended. */
export interface RecordDraft {
  /** 16 bytes made by the caller; the same bytes with the same expected revision are recognised as a resend. */
  readonly id: Uint8Array;
  /** One of the catalogue in kinds.ts. Public: it must say nothing personal. */
  readonly kind: string;
  /** Version of this kind's sections, so that old records stay readable. */
  readonly version: number;
  /** Plain bytes; each is sealed with a key of its own, and can be erased alone. At most `MAX_SECTIONS`. */
  readonly sections: readonly Uint8Array[];
  /**
   * What the sections say, already decoded by whoever made them. Never stored: it travels with the record to the live
   * subscribers of this process, so that what was just built is not parsed again. Must equal what decoding would give.
   */
  readonly decoded?: unknown;
}

/** A record as it was appended. */
export interface LogRecord {
  readonly position: Position;
  readonly stream: string;
  readonly revision: Revision;
  readonly kind: string;
  readonly version: number;
  /** Milliseconds since the epoch, by this server's clock when it was appended. */
  readonly recordedAtMs: number;
  readonly id: Uint8Array;
  /** Opened sections; `null` where the section's key was destroyed. */
  readonly sections: readonly (Uint8Array | null)[];
  /** See {@link RecordDraft.decoded}; only on live delivery in the process that appended. */
  readonly decoded?: unknown;
}

/** One section of one record. */
export interface SectionRef {
  readonly position: Position;
  readonly section: number;
}

export interface Appended {
  readonly firstPosition: Position;
  readonly lastPosition: Position;
  readonly lastRevision: Revision;
}

export interface ReadStreamOptions {
  /** Where to start, inclusive. Default: the first record forwards, the last backwards. */
  readonly from?: Revision;
  readonly direction?: 'forwards' | 'backwards';
  /** Most records to give; default all. */
  readonly limit?: number;
}

/**
 * Where a subscription is: reading what was there before (`backfill`), closing the gap to the present without missing or
 * repeating a record (`cutover`), or fed by each commit (`live`).
 */
export type SubscriptionPhase = 'backfill' | 'cutover' | 'live';

export interface Subscriber {
  /**
   * Called with the records of one batch, in order, never concurrently. The next batch waits for the returned promise.
   * In the live phase a subscriber that returns nothing (works synchronously) is called after the records are durable and
   * before their appends are acknowledged; one that returns a promise is not waited for by appends, and falls back to
   * reading (`backfill`) when it lags by more than the bound. A throw ends the subscription, see `onEnd`.
   */
  onRecords(records: readonly LogRecord[]): void | Promise<void>;
  onPhase?(phase: SubscriptionPhase): void;
  /** Once, when the subscription is over: with the error that ended it, or without one when it was stopped or the log closed. */
  onEnd?(error?: Error): void;
}

export interface Subscription {
  readonly phase: SubscriptionPhase;
  /** Resolves when the live phase is reached for the first time; rejects if the subscription ends before. */
  readonly live: Promise<void>;
  stop(): Promise<void>;
}

/** Whether the log takes appends, and if not, why, in a sentence for operators. */
export type WriteState = { readonly writable: true } | { readonly writable: false; readonly reason: string };

export interface EventLog {
  /**
   * Appends records to one stream, all or none, and resolves once they are durable and the synchronous live subscribers
   * have seen them. The revision is checked when called, so appends to one stream may be queued behind each other
   * without waiting (each expecting the revision the one before will give); if one fails, those behind it fail too.
   * Throws (rejects with) {@link Conflict}, {@link NotWritten}, {@link OutcomeUnknown}, {@link TooLarge}.
   */
  append(stream: string, expectedRevision: Revision, records: readonly RecordDraft[]): Promise<Appended>;
  /** Durable records of one stream. An unknown stream is empty. */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<LogRecord>;
  /** Durable records after `from` (exclusive; {@link BEFORE_FIRST} for all), in batches, up to the head at the time of the call. */
  readAll(from: Position): AsyncIterable<readonly LogRecord[]>;
  /** One record by position, or undefined. */
  readAt(position: Position): Promise<LogRecord | undefined>;
  /** All records after `from`, then each new one as it is committed. */
  subscribeAll(from: Position, subscriber: Subscriber): Subscription;
  /** Position of the last durable record, or {@link BEFORE_FIRST}. */
  head(): Position;
  /** Last revision of a stream, counting appends that are queued; {@link NO_STREAM} if there is none. */
  revisionOf(stream: string): Promise<Revision>;
  writeState(): WriteState;
  /** Destroys the key of one section of one record, for ever: the record, its hash and every proof stay valid. Durable when resolved. */
  destroyKey(position: Position, section: number): Promise<void>;
  /**
   * The same for many sections, which wait for the disk together. All are durable when it resolves; if it rejects, some may
   * be: destroy them again. Destroying a key again changes nothing. Throws RangeError for a section that is not there.
   */
  destroyKeys(sections: readonly SectionRef[]): Promise<void>;
  /** Flushes what is queued, ends subscriptions, releases the files. */
  close(): Promise<void>;
}

/** Most sections of a record. */
export const MAX_SECTIONS = 4;
/** Most bytes that one append may write, sealed and framed. */
export const MAX_APPEND_BYTES = 1024 * 1024;
/** Longest stream name, in bytes; ASCII letters, digits, `-` and `_` only. */
export const MAX_STREAM_NAME_BYTES = 64;

/** The stream is not at the expected revision: somebody else appended. Nothing was written. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
  readonly stream: string;
  readonly expected: Revision;
  readonly actual: Revision;
  constructor(stream: string, expected: Revision, actual: Revision) {
    super(`stream ${stream} is at revision ${actual}, not ${expected}`);
    this.stream = stream;
    this.expected = expected;
    this.actual = actual;
  }
}

/** Nothing was written, and nothing will be by itself: the disk is full, the log is read-only or closing, a queue is full. */
export class NotWritten extends Error {
  override readonly name = 'NotWritten';
}

/** It is not known whether the records became durable; after a restart they are either all there or not at all. */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown';
}

/** The append exceeds {@link MAX_APPEND_BYTES} or {@link MAX_SECTIONS}. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

/** Stored bytes are not what was written. Names the file, the offset, the record, and the command that helps. */
export class Damaged extends Error {
  override readonly name = 'Damaged';
}
