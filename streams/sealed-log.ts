/**
 * The log above its driver: seals what is appended and opens what is read, hashes leaves, recognises resends, bounds
 * what is in flight, feeds subscriptions. Written once, for every driver.
 */
import {
  type Appended,
  Conflict,
  type EventLog,
  type LogRecord,
  MAX_APPEND_BYTES,
  NotWritten,
  OutcomeUnknown,
  type Position,
  type ReadStreamOptions,
  type RecordDraft,
  type Revision,
  type SectionRef,
  type Subscriber,
  type Subscription,
  TooLarge,
  type WriteState,
} from './event-log.ts';
import { KeyDestruction, type ReappliedErasures } from './key-destruction.ts';
import type { ErasedList, ErasedSection } from './keyring/erased-list.ts';
import type { KeyStore } from './keyring/key-store.ts';
import type { DriverEvents, LogDriver } from './log-driver.ts';
import { checkDrafts, liveRecords, PendingAppend } from './pending-append.ts';
import type { OnCommit, RawLog, RawRecord } from './raw-log.ts';
import { idOfHeader, leafHash } from './record-format.ts';
import { openRecords, rawRecord } from './record-reader.ts';
import { LogSubscription } from './subscription.ts';

/** Most records appended and not yet durable; more are turned down with `NotWritten`. */
export const MAX_PENDING_RECORDS = 65_536;
/** Most sealed bytes appended and not yet durable. */
export const MAX_PENDING_BYTES = 16 * 1024 * 1024;
/** How long an append may take before its caller is told that its outcome is unknown. */
export const APPEND_DEADLINE_MS = 30_000;
/** Most subscriptions at one time. */
export const MAX_SUBSCRIPTIONS = 1024;
/** How often a resend is compared with a log that moves under it. */
const MAX_RESEND_LOOKS = 8;

export interface SealedLogOptions {
  /** Milliseconds since the epoch, for `recordedAtMs`. */
  readonly now?: () => number;
  readonly onCommit?: OnCommit;
  readonly appendDeadlineMs?: number;
  readonly maxPendingRecords?: number;
  readonly maxPendingBytes?: number;
  /** Where destroyed keys are listed, before they are destroyed. */
  readonly erasedList?: ErasedList;
}

export class SealedLog implements EventLog, RawLog, DriverEvents<PendingAppend> {
  readonly #driver: LogDriver<PendingAppend>;
  readonly #keys: KeyStore;
  readonly #destruction: KeyDestruction;
  readonly #now: () => number;
  readonly #onCommit: OnCommit | undefined;
  readonly #deadlineMs: number;
  readonly #erasedList: ErasedList | undefined;
  readonly #maxPendingRecords: number;
  readonly #maxPendingBytes: number;
  readonly #pending = new Set<PendingAppend>();
  readonly #subscriptions = new Set<LogSubscription>();
  #pendingRecords = 0;
  #pendingBytes = 0;
  #deadlineTimer: NodeJS.Timeout | undefined;
  /** Why nothing may be appended although the driver would: closing, or the tree could not follow. */
  #closedBecause: string | undefined;
  #closing: Promise<void> | undefined;

  constructor(driver: LogDriver<PendingAppend>, keys: KeyStore, options: SealedLogOptions = {}) {
    this.#driver = driver;
    this.#keys = keys;
    this.#now = options.now ?? Date.now;
    this.#onCommit = options.onCommit;
    this.#deadlineMs = options.appendDeadlineMs ?? APPEND_DEADLINE_MS;
    this.#erasedList = options.erasedList;
    this.#destruction = new KeyDestruction({ records: driver, keys, now: this.#now, erasedList: options.erasedList });
    this.#maxPendingRecords = options.maxPendingRecords ?? MAX_PENDING_RECORDS;
    this.#maxPendingBytes = options.maxPendingBytes ?? MAX_PENDING_BYTES;
    driver.start(this);
  }

  append(stream: string, expectedRevision: Revision, records: readonly RecordDraft[]): Promise<Appended> {
    try {
      checkDrafts(stream, expectedRevision, records);
      const refusal = this.#refusal(records.length);
      if (refusal !== undefined) return Promise.reject(new NotWritten(refusal));
      const actual = this.#driver.revisionOf(stream);
      if (typeof actual === 'number' && actual !== expectedRevision) {
        return this.#resend(stream, expectedRevision, records);
      }
      const written = this.#enqueue(stream, expectedRevision, records);
      // A driver that knows revisions at once has compared them here; another tells of a conflict later.
      return typeof actual === 'number' ? written : this.#orResend(written, stream, expectedRevision, records);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncIterable<LogRecord> {
    for await (const stored of this.#driver.readStream(stream, options)) yield* await openRecords(stored, this.#keys);
  }

  async *readAll(from: Position): AsyncIterable<readonly LogRecord[]> {
    for await (const stored of this.#driver.readAll(from)) yield await openRecords(stored, this.#keys);
  }

  async readAt(position: Position): Promise<LogRecord | undefined> {
    const stored = await this.#driver.readAt(position);
    return stored && (await openRecords([stored], this.#keys))[0];
  }

  async *readLeaves(from: Position): AsyncIterable<readonly Buffer[]> {
    for await (const stored of this.#driver.readAll(from)) {
      yield stored.map((one) => leafHash(one.header, one.sections));
    }
  }

  async readRaw(position: Position): Promise<RawRecord | undefined> {
    const stored = await this.#driver.readAt(position);
    return stored && rawRecord(stored);
  }

  async *readAllRaw(from: Position): AsyncIterable<readonly RawRecord[]> {
    for await (const stored of this.#driver.readAll(from)) yield stored.map(rawRecord);
  }

  subscribeAll(from: Position, subscriber: Subscriber): Subscription {
    if (this.#closing) throw new NotWritten('the log is closed');
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      throw new RangeError(`the log has ${MAX_SUBSCRIPTIONS} subscriptions already`);
    }
    const subscription = new LogSubscription(this, from, subscriber, (over) => this.#subscriptions.delete(over));
    this.#subscriptions.add(subscription);
    return subscription;
  }

  head(): Position {
    return this.#driver.head();
  }

  async revisionOf(stream: string): Promise<Revision> {
    return this.#driver.revisionOf(stream);
  }

  writeState(): WriteState {
    if (this.#closedBecause !== undefined) return { writable: false, reason: this.#closedBecause };
    return this.#driver.writeState();
  }

  destroyKey(position: Position, section: number): Promise<void> {
    return this.destroyKeys([{ position, section }]);
  }

  destroyKeys(sections: readonly SectionRef[]): Promise<void> {
    return this.#destruction.destroy(sections);
  }

  /** See {@link KeyDestruction.reapply}. */
  reapplyErasures(erased: readonly ErasedSection[]): Promise<ReappliedErasures> {
    return this.#destruction.reapply(erased);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closedBecause = 'the log is closed';
    this.#destruction.close();
    await this.#driver.settled();
    clearTimeout(this.#deadlineTimer);
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.stop()));
    await this.#driver.close();
    await this.#keys.close();
    await this.#erasedList?.close();
  }

  committed(appends: readonly PendingAppend[]): void {
    if (this.#onCommit) {
      try {
        this.#onCommit(appends.length === 1 ? (appends[0]?.leaves ?? []) : appends.flatMap((one) => one.leaves));
      } catch (error) {
        // What is durable stays acknowledged, but a log whose tree cannot follow must not grow.
        this.#closedBecause ??= `the transparency tree could not take a commit (${messageOf(error)}); restart the server`;
      }
    }
    if (this.#subscriptions.size > 0) {
      const records = liveRecords(appends);
      for (const subscription of [...this.#subscriptions]) subscription.offer(records);
    }
    for (const one of appends) {
      this.#forget(one);
      const lastOffset = one.records.length - 1;
      one.resolve({
        firstPosition: one.firstPosition,
        lastPosition: one.firstPosition + lastOffset,
        lastRevision: one.expectedRevision + 1 + lastOffset,
      });
    }
  }

  failed(appends: readonly PendingAppend[], error: Error): void {
    for (const one of appends) {
      this.#forget(one);
      one.reject(error);
    }
  }

  #refusal(records: number): string | undefined {
    if (this.#closedBecause !== undefined) return this.#closedBecause;
    if (this.#pendingRecords + records > this.#maxPendingRecords || this.#pendingBytes > this.#maxPendingBytes) {
      return `the log has ${this.#pendingRecords} records (${this.#pendingBytes} bytes) waiting for the disk; try again shortly`;
    }
    return this.#driver.refusal();
  }

  #enqueue(stream: string, expectedRevision: Revision, drafts: readonly RecordDraft[]): Promise<Appended> {
    const append = new PendingAppend(
      stream,
      expectedRevision,
      drafts,
      this.#now(),
      performance.now() + this.#deadlineMs,
    );
    if (append.bytes > MAX_APPEND_BYTES) {
      return Promise.reject(new TooLarge(`an append of ${append.bytes} bytes; the most is ${MAX_APPEND_BYTES}`));
    }
    return new Promise((resolve, reject) => {
      append.resolve = resolve;
      append.reject = reject;
      this.#pending.add(append);
      this.#pendingRecords += drafts.length;
      this.#pendingBytes += append.bytes;
      if (this.#deadlineTimer === undefined) this.#watchDeadlines();
      this.#driver.enqueue(append);
    });
  }

  #forget(append: PendingAppend): void {
    this.#pending.delete(append);
    this.#pendingRecords -= append.records.length;
    this.#pendingBytes -= append.bytes;
  }

  /** One timer for all appends: they wait in the order of their deadlines. */
  #watchDeadlines(): void {
    this.#deadlineTimer = setTimeout(() => {
      this.#deadlineTimer = undefined;
      const now = performance.now();
      for (const append of this.#pending) {
        if (append.deadlineAtMs > now) break;
        append.reject(new OutcomeUnknown(`the disk has not answered within ${this.#deadlineMs} ms`));
      }
      if (this.#pending.size > 0) this.#watchDeadlines();
    }, this.#deadlineMs / 4);
    this.#deadlineTimer.unref();
  }

  /** Answers an append whose records are there already, or says that it conflicts. */
  async #resend(stream: string, expected: Revision, drafts: readonly RecordDraft[]): Promise<Appended> {
    for (let look = 0; look < MAX_RESEND_LOOKS; look++) {
      // The first sending may still be on its way to the disk.
      await this.#driver.settled();
      const actual = await this.#driver.revisionOf(stream);
      if (actual === expected) {
        const refusal = this.#refusal(drafts.length);
        if (refusal !== undefined) throw new NotWritten(refusal);
        if (this.#driver.revisionOf(stream) === expected) return this.#enqueue(stream, expected, drafts);
        continue;
      }
      return (await this.#find(stream, expected, drafts)) ?? Promise.reject(new Conflict(stream, expected, actual));
    }
    throw new Conflict(stream, expected, await this.#driver.revisionOf(stream));
  }

  async #orResend(
    written: Promise<Appended>,
    stream: string,
    expected: Revision,
    drafts: readonly RecordDraft[],
  ): Promise<Appended> {
    try {
      return await written;
    } catch (error) {
      const found = error instanceof Conflict ? await this.#find(stream, expected, drafts) : undefined;
      if (found === undefined) throw error;
      return found;
    }
  }

  /** Where these very records are, if they are what follows the expected revision. */
  async #find(stream: string, expected: Revision, drafts: readonly RecordDraft[]): Promise<Appended | undefined> {
    const positions: Position[] = [];
    for await (const stored of this.#driver.readStream(stream, { from: expected + 1, limit: drafts.length })) {
      for (const one of stored) {
        const draft = drafts[positions.length];
        if (draft === undefined || !idOfHeader(one.header).equals(draft.id)) return undefined;
        positions.push(one.position);
      }
    }
    const [firstPosition, lastPosition] = [positions[0], positions.at(-1)];
    if (positions.length !== drafts.length || firstPosition === undefined || lastPosition === undefined)
      return undefined;
    return { firstPosition, lastPosition, lastRevision: expected + drafts.length };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
