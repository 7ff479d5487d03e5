/**
 * The log above its driver: seals what is appended and opens what is read, hashes leaves, recognises resends, bounds
 * what is in flight, feeds subscriptions. Written once, for every driver.
 */
import {
  type Appended,
  BEFORE_FIRST,
  Conflict,
  type EventLog,
  type LogRecord,
  MAX_APPEND_BYTES,
  MAX_SECTIONS,
  MAX_STREAM_NAME_BYTES,
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
import type { ErasedList, ErasedSection } from './keyring/erased-list.ts';
import type { KeyStore } from './keyring/key-store.ts';
import type { DriverEvents, LogDriver, SealedAppend, SealedRecord, StoredRecord } from './log-driver.ts';
import type { OnCommit, RawLog, RawRecord } from './raw-log.ts';
import { encodeHeader, leafHash, MAX_KIND_BYTES } from './record-format.ts';
import { openRecords, rawRecord } from './record-reader.ts';
import { newKeys, SEAL_BYTES, sealSection } from './sealing.ts';
import { LogSubscription } from './subscription.ts';

/** Most records appended and not yet durable; more are turned down with `NotWritten`. */
export const MAX_PENDING_RECORDS = 65_536;
/** Most sealed bytes appended and not yet durable. */
export const MAX_PENDING_BYTES = 16 * 1024 * 1024;
/** How long an append may take before its caller is told that its outcome is unknown. */
export const APPEND_DEADLINE_MS = 30_000;
/** Most subscriptions at one time. */
export const MAX_SUBSCRIPTIONS = 1024;
/** What a driver may add to a record: frame, links, padding. */
const FRAME_ALLOWANCE_BYTES = 128;
/** Keys that are destroyed together: so many records are looked up before the disk is waited for. */
const DESTROY_BATCH = 1024;
/** From so many records on it is looked whether they lie side by side, */
const DENSE_FROM = 16;
/** and how many others may lie between them. */
const DENSE_STRETCH = 8;
const MS_PER_S = 1000;
/** How often a resend is compared with a log that moves under it. */
const MAX_RESEND_LOOKS = 8;

const STREAM_NAME = /^[A-Za-z0-9_-]+$/;
const KIND_NAME = /^[A-Za-z0-9._-]+$/;
const ID_BYTES = 16;
const MAX_VERSION = 0xffff;

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

/** What came of destroying again what a list says was destroyed. */
export interface ReappliedErasures {
  /** Keys that were there, and are not any more. */
  readonly destroyed: number;
  /** Keys that were gone. */
  readonly alreadyGone: number;
  /** Entries about records that this log does not have. */
  readonly unknown: number;
}

/** An append under way: sealed for the driver, plain for live subscribers. */
export class PendingAppend implements SealedAppend {
  readonly stream: string;
  readonly expectedRevision: Revision;
  readonly records: readonly SealedRecord[];
  readonly drafts: readonly RecordDraft[];
  readonly leaves: readonly Buffer[];
  readonly recordedAtMs: number;
  readonly bytes: number;
  readonly deadlineAtMs: number;
  firstPosition: Position = -1;
  resolve: (appended: Appended) => void = () => undefined;
  reject: (error: Error) => void = () => undefined;

  constructor(
    stream: string,
    expectedRevision: Revision,
    drafts: readonly RecordDraft[],
    recordedAtMs: number,
    deadlineAtMs: number,
  ) {
    const records: SealedRecord[] = [];
    const leaves: Buffer[] = [];
    let bytes = 0;
    let revision = expectedRevision;
    for (const draft of drafts) {
      revision += 1;
      const record = seal(stream, revision, recordedAtMs, draft);
      records.push(record);
      leaves.push(leafHash(record.header, record.sections));
      bytes += FRAME_ALLOWANCE_BYTES + record.header.length;
      for (const section of record.sections) bytes += section.length;
    }
    this.stream = stream;
    this.expectedRevision = expectedRevision;
    this.records = records;
    this.drafts = drafts;
    this.leaves = leaves;
    this.recordedAtMs = recordedAtMs;
    this.bytes = bytes;
    this.deadlineAtMs = deadlineAtMs;
  }
}

export class SealedLog implements EventLog, RawLog, DriverEvents<PendingAppend> {
  readonly #driver: LogDriver<PendingAppend>;
  readonly #keys: KeyStore;
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

  async destroyKeys(sections: readonly SectionRef[]): Promise<void> {
    for (let at = 0; at < sections.length; at += DESTROY_BATCH) {
      await this.#destroy(sections.slice(at, at + DESTROY_BATCH));
    }
  }

  /**
   * Destroys again what a list says was destroyed: what a restored backup brought back. Entries about other records than
   * those of this log are passed over.
   */
  async reapplyErasures(erased: readonly ErasedSection[]): Promise<ReappliedErasures> {
    let destroyed = 0;
    let alreadyGone = 0;
    let unknown = 0;
    for (let at = 0; at < erased.length; at += DESTROY_BATCH) {
      const due: SectionRef[] = [];
      for (const { position, section, recordId } of erased.slice(at, at + DESTROY_BATCH)) {
        const stored = position <= this.head() ? await this.#driver.readAt(position) : undefined;
        if (stored === undefined || section >= stored.sections.length || !idOfHeader(stored.header).equals(recordId)) {
          unknown++;
        } else if (await this.#isDestroyed(stored.firstKeySlot + section)) alreadyGone++;
        else due.push({ position, section });
      }
      await this.#destroy(due);
      destroyed += due.length;
    }
    return { destroyed, alreadyGone, unknown };
  }

  async #destroy(sections: readonly SectionRef[]): Promise<void> {
    if (this.#closing) throw new NotWritten('the log is closed');
    const slots: number[] = [];
    const entries: ErasedSection[] = [];
    const destroyedAtS = Math.floor(this.#now() / MS_PER_S);
    const found = await this.#lookUp(sections);
    for (const { position, section } of sections) {
      const stored = found.get(position);
      if (stored === undefined) throw new RangeError(`there is no record at position ${position}`);
      if (!Number.isInteger(section) || section < 0 || section >= stored.sections.length) {
        throw new RangeError(`the record at position ${position} has no section ${section}`);
      }
      const slot = stored.firstKeySlot + section;
      slots.push(slot);
      if (await this.#isDestroyed(slot)) continue;
      entries.push({ position, section, recordId: Buffer.from(idOfHeader(stored.header)), destroyedAtS });
    }
    if (slots.length === 0) return;
    // Listed first: a key that is listed and still there is destroyed at the next start, one that is gone and not listed
    // would come back with a backup.
    await this.#erasedList?.add(entries);
    await this.#keys.destroyAll(slots);
  }

  /** The records of some sections: read one by one, or all of a stretch of the log where most of it is asked for. */
  async #lookUp(sections: readonly SectionRef[]): Promise<Map<Position, StoredRecord>> {
    const wanted = new Set(sections.map(({ position }) => position));
    const found = new Map<Position, StoredRecord>();
    let first = Number.POSITIVE_INFINITY;
    let last = BEFORE_FIRST;
    for (const position of wanted) {
      if (position < first) first = position;
      if (position > last) last = position;
    }
    if (wanted.size < DENSE_FROM || last - first > DENSE_STRETCH * wanted.size) {
      for (const position of wanted) {
        const stored = await this.#driver.readAt(position);
        if (stored !== undefined) found.set(position, stored);
      }
      return found;
    }
    for await (const batch of this.#driver.readAll(first - 1)) {
      for (const stored of batch) if (wanted.has(stored.position)) found.set(stored.position, stored);
      if ((batch.at(-1)?.position ?? last) >= last) break;
    }
    return found;
  }

  async #isDestroyed(slot: number): Promise<boolean> {
    let key = this.#keys.peek(slot);
    if (key === undefined) {
      await this.#keys.load(slot);
      key = this.#keys.peek(slot);
    }
    return key === null;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closedBecause = 'the log is closed';
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

function seal(stream: string, revision: Revision, recordedAtMs: number, draft: RecordDraft): SealedRecord {
  const { id, kind, version, sections } = draft;
  const keys = newKeys(sections.length);
  return {
    header: encodeHeader({ stream, revision, kind, version, recordedAtMs, id, sectionCount: sections.length }),
    sections: sections.map((plain, index) => sealSection(plain, id, index, keys)),
    keys,
  };
}

function liveRecords(appends: readonly PendingAppend[]): LogRecord[] {
  const records: LogRecord[] = [];
  for (const append of appends) {
    let revision = append.expectedRevision;
    let position = append.firstPosition;
    for (const draft of append.drafts) {
      revision += 1;
      const { id, kind, version, sections, decoded } = draft;
      const { stream, recordedAtMs } = append;
      records.push({ position, stream, revision, kind, version, recordedAtMs, id, sections, decoded });
      position += 1;
    }
  }
  return records;
}

/** Throws RangeError for what no caller may pass, {@link TooLarge} for what is too much. */
function checkDrafts(stream: string, expectedRevision: Revision, drafts: readonly RecordDraft[]): void {
  if (stream.length > MAX_STREAM_NAME_BYTES || !STREAM_NAME.test(stream)) {
    throw new RangeError(`not a stream name: ${JSON.stringify(stream.slice(0, 2 * MAX_STREAM_NAME_BYTES))}`);
  }
  if (!Number.isSafeInteger(expectedRevision) || expectedRevision < -1) {
    throw new RangeError(`not a revision: ${expectedRevision}`);
  }
  if (drafts.length === 0) throw new RangeError('an append has at least one record');
  let bytes = 0;
  for (const draft of drafts) {
    if (draft.id.length !== ID_BYTES) throw new RangeError(`a record id has ${ID_BYTES} bytes, not ${draft.id.length}`);
    if (draft.kind.length > MAX_KIND_BYTES || !KIND_NAME.test(draft.kind)) {
      throw new RangeError(`not a record kind: ${JSON.stringify(draft.kind.slice(0, 2 * MAX_KIND_BYTES))}`);
    }
    if (!Number.isInteger(draft.version) || draft.version < 0 || draft.version > MAX_VERSION) {
      throw new RangeError(`not a version: ${draft.version}`);
    }
    if (draft.sections.length > MAX_SECTIONS) {
      throw new TooLarge(`a record of ${draft.sections.length} sections; the most is ${MAX_SECTIONS}`);
    }
    bytes += FRAME_ALLOWANCE_BYTES;
    for (const section of draft.sections) bytes += section.length + SEAL_BYTES;
  }
  // Before sealing, so that nobody can make the log work on what it will not take.
  if (bytes > MAX_APPEND_BYTES) throw new TooLarge(`an append of ${bytes} bytes; the most is ${MAX_APPEND_BYTES}`);
}

/** The UUID in a header: the 16 bytes before its last. */
function idOfHeader(header: Buffer): Buffer {
  return header.subarray(header.length - 1 - ID_BYTES, header.length - 1);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
