/** A driver that keeps records in memory: for tests, with the behaviour of the one that keeps them on disk. */
import {
  BEFORE_FIRST,
  NO_STREAM,
  NotWritten,
  type Position,
  type ReadStreamOptions,
  type Revision,
  type WriteState,
} from '../event-log.ts';
import type { KeyStore } from '../keyring/key-store.ts';
import type { DriverEvents, LogDriver, SealedAppend, StoredRecord } from '../log-driver.ts';

/** Most records given at once. */
const READ_BATCH_RECORDS = 256;

export class MemoryDriver<Append extends SealedAppend> implements LogDriver<Append> {
  readonly #keys: KeyStore;
  readonly #records: StoredRecord[] = [];
  /** Positions of each stream's durable records. */
  readonly #streams = new Map<string, Position[]>();
  /** Revisions with queued appends, where there are any. */
  readonly #queuedRevisions = new Map<string, Revision>();
  #events: DriverEvents<Append> | undefined;
  #queue: Append[] = [];
  #committing: Promise<void> | undefined;
  #refused: string | undefined;
  #failNext: Error | undefined;

  constructor(keys: KeyStore) {
    this.#keys = keys;
  }

  /** Turns down appends for this reason until called with undefined. */
  refuseWrites(reason: string | undefined): void {
    this.#refused = reason;
  }

  /** Lets the next commit fail with this error, and all that is queued behind it with `NotWritten`. */
  failNextCommit(error: Error): void {
    this.#failNext = error;
  }

  start(events: DriverEvents<Append>): void {
    this.#events = events;
  }

  enqueue(append: Append): void {
    this.#queue.push(append);
    this.#queuedRevisions.set(append.stream, append.expectedRevision + append.records.length);
    this.#committing ??= Promise.resolve().then(() => this.#commitAll());
  }

  async settled(): Promise<void> {
    await this.#committing;
  }

  revisionOf(stream: string): Revision {
    return this.#queuedRevisions.get(stream) ?? (this.#streams.get(stream)?.length ?? 0) - 1;
  }

  refusal(): string | undefined {
    return this.#refused;
  }

  writeState(): WriteState {
    return this.#refused === undefined ? { writable: true } : { writable: false, reason: this.#refused };
  }

  head(): Position {
    return this.#records.length - 1;
  }

  async *readStream(stream: string, options: ReadStreamOptions): AsyncIterable<readonly StoredRecord[]> {
    const positions = this.#streams.get(stream) ?? [];
    const last = positions.length - 1;
    const limit = options.limit ?? Number.POSITIVE_INFINITY;
    const backwards = options.direction === 'backwards';
    const start = backwards ? Math.min(options.from ?? last, last) : Math.max(options.from ?? 0, 0);
    const end = backwards ? Math.max(-1, start - limit) : Math.min(last + 1, start + limit);
    const step = backwards ? -1 : 1;
    let batch: StoredRecord[] = [];
    for (let revision = start; backwards ? revision > end : revision < end; revision += step) {
      const record = this.#records[positions[revision] ?? NO_STREAM];
      if (record) batch.push(record);
      if (batch.length === READ_BATCH_RECORDS) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  }

  async *readAll(from: Position): AsyncIterable<readonly StoredRecord[]> {
    const end = this.#records.length;
    for (let at = Math.max(from, BEFORE_FIRST) + 1; at < end; at += READ_BATCH_RECORDS) {
      yield this.#records.slice(at, Math.min(at + READ_BATCH_RECORDS, end));
    }
  }

  async readAt(position: Position): Promise<StoredRecord | undefined> {
    return this.#records[position];
  }

  async close(): Promise<void> {
    await this.settled();
  }

  async #commitAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const failure = this.#failNext;
      this.#failNext = undefined;
      if (failure) this.#fail(batch, failure);
      else await this.#commit(batch);
    }
    this.#committing = undefined;
  }

  async #commit(batch: readonly Append[]): Promise<void> {
    const staged = this.#keys.stage(
      batch.flatMap((append) => append.records.map((record) => record.keys)),
      this.#records.length,
    );
    await staged.write();
    let slot = staged.firstSlot;
    for (const append of batch) {
      append.firstPosition = this.#records.length;
      const positions = this.#streams.get(append.stream) ?? [];
      this.#streams.set(append.stream, positions);
      for (const { header, sections } of append.records) {
        positions.push(this.#records.length);
        this.#records.push({ position: this.#records.length, header, sections, firstKeySlot: slot });
        slot += sections.length;
      }
      if (this.#queuedRevisions.get(append.stream) === positions.length - 1)
        this.#queuedRevisions.delete(append.stream);
    }
    this.#events?.committed(batch);
  }

  #fail(batch: readonly Append[], error: Error): void {
    const behind = this.#queue;
    this.#queue = [];
    this.#queuedRevisions.clear();
    this.#events?.failed(batch, error);
    if (behind.length > 0)
      this.#events?.failed(behind, new NotWritten(`an append before this one failed: ${error.message}`));
  }
}
