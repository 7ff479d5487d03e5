/**
 * What sits below the log: a store of sealed records. Sealing, leaf hashes, deadlines, in-flight bounds, resends and
 * subscriptions are done once, above, in sealed-log.ts; a driver stores, orders and reads.
 */
import type { Position, ReadStreamOptions, Revision, WriteState } from './event-log.ts';

/** A record ready to be stored. */
export interface SealedRecord {
  /** See record-format.ts. */
  readonly header: Buffer;
  readonly sections: readonly Buffer[];
  /** The keys of the sections, 32 bytes each, one behind the other. They must be durable when the record is. */
  readonly keys: Buffer;
}

/** Records of one stream, to be stored all or none. */
export interface SealedAppend {
  readonly stream: string;
  readonly expectedRevision: Revision;
  readonly records: readonly SealedRecord[];
  /** Upper bound of the bytes it takes when stored. */
  readonly bytes: number;
  /** Set by the driver before it reports the append as committed; the further records follow without a gap. */
  firstPosition: Position;
}

/** A record as a driver gives it back. */
export interface StoredRecord {
  readonly position: Position;
  readonly header: Buffer;
  readonly sections: readonly Buffer[];
  /** Slot of the first section's key; the further sections' keys follow. */
  readonly firstKeySlot: number;
}

/** What a driver reports, synchronously, to the layer above it. */
export interface DriverEvents<Append extends SealedAppend> {
  /** These appends are durable, in this order; `head()` has moved already. Must not throw. */
  committed(appends: readonly Append[]): void;
  /** These failed, all for this reason: `Conflict`, `NotWritten` or `OutcomeUnknown`. Must not throw. */
  failed(appends: readonly Append[], error: Error): void;
}

/** A store of sealed records. Every driver passes the suite in contract.ts when it is opened as a log. */
export interface LogDriver<Append extends SealedAppend = SealedAppend> {
  /** Called once, before anything is enqueued. */
  start(events: DriverEvents<Append>): void;
  /**
   * Queues an append. A driver that knows revisions at once may rely on the caller having compared `revisionOf`; another
   * checks later and fails the append with `Conflict`. Never throws: what goes wrong is reported by `failed`.
   */
  enqueue(append: Append): void;
  /** Resolves when everything queued so far has been committed or has failed. */
  settled(): Promise<void>;
  /** Last revision including queued appends; a promise where the driver must ask. */
  revisionOf(stream: string): Revision | Promise<Revision>;
  /** Why an append would be turned down now, or undefined. */
  refusal(): string | undefined;
  writeState(): WriteState;
  /** Position of the last durable record. */
  head(): Position;
  /** Durable records of one stream, in batches. `direction` and `limit` as in the log's interface. */
  readStream(stream: string, options: ReadStreamOptions): AsyncIterable<readonly StoredRecord[]>;
  /** Durable records after `from`, up to the head at the time of the call, in batches of bounded size. */
  readAll(from: Position): AsyncIterable<readonly StoredRecord[]>;
  readAt(position: Position): Promise<StoredRecord | undefined>;
  /** Waits for what is queued, then releases what is held. */
  close(): Promise<void>;
}
