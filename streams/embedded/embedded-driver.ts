/**
 * The driver that keeps a log in segment files of its own. Every append that is queued while a commit is under way goes
 * out with the next one: one write and one sync of the segment, and beside them one of the keys.
 *
 * When the disk fails: what is not written fails with `NotWritten` and leaves no trace; a sync that failed leaves the
 * outcome unknown, and the log stays closed for writing until it is opened again, as nothing can be learnt from syncing
 * again. A full disk is the one failure after which writing is tried again.
 */
import path from 'node:path';
import {
  Conflict,
  MAX_APPEND_BYTES,
  NO_STREAM,
  NotWritten,
  OutcomeUnknown,
  type Position,
  type ReadStreamOptions,
  type Revision,
  type WriteState,
} from '../event-log.ts';
import type { FileKeyring } from '../keyring/file-keyring.ts';
import type { DriverEvents, LogDriver, SealedAppend, StoredRecord } from '../log-driver.ts';
import type { FileSystem } from './files.ts';
import { encodeFrame, encodeSegmentHeader, frameSize, SEGMENT_HEADER_BYTES } from './frame.ts';
import { GrowingFile } from './growing-file.ts';
import { nextChain } from './heads.ts';
import type { RecordStore } from './record-store.ts';
import { encodeIndex } from './segment-index.ts';
import { OffsetList, type Segment, segmentAt } from './segments.ts';
import { messageOf, WriteStop } from './write-stop.ts';

/** Most bytes of one commit. */
export const MAX_COMMIT_BYTES = MAX_APPEND_BYTES;
/**
 * Most records of one commit: what subscribers do with them must not hold the event loop for long, and where more are waiting
 * the disk is to have some while the others are looked after.
 */
export const MAX_COMMIT_RECORDS = 512;
/** Size at which a new segment is begun. */
export const SEGMENT_BYTES = 64 * 1024 * 1024;
/** How far a segment grows at once. */
const GROW_BYTES = 4 * 1024 * 1024;
const NEW_SEGMENT = 'new.tmp';
export interface EmbeddedDriverOptions {
  readonly files: FileSystem;
  /** Folder of the segments. */
  readonly folder: string;
  readonly store: RecordStore;
  readonly keyring: FileKeyring;
  /** The last segment, opened for writing; undefined for a log without any. */
  readonly active: ActiveSegment | undefined;
  readonly segmentBytes?: number;
  readonly retryMs?: number;
  /** Releases what was taken for the log, last of all. */
  readonly onClosed?: () => void;
}

/** The segment that is written. */
export interface ActiveSegment {
  readonly segment: Segment;
  readonly growing: GrowingFile;
  /** Streams with records in it. */
  readonly touched: Set<string>;
}

/** A commit on its way to the disk. */
interface Commit<Append> {
  readonly batch: readonly Append[];
  /** What is durable then, or the error if it failed. */
  readonly outcome: Promise<Written | Error>;
}

/** A batch that is durable. */
interface Written {
  readonly active: ActiveSegment;
  /** Of its records. */
  readonly offsets: readonly number[];
  /** Where its last record ends in the segment. */
  readonly end: number;
}

export class EmbeddedDriver<Append extends SealedAppend> implements LogDriver<Append> {
  readonly #options: EmbeddedDriverOptions;
  readonly #store: RecordStore;
  readonly #keyring: FileKeyring;
  readonly #segmentBytes: number;
  readonly #buffer = Buffer.allocUnsafeSlow(MAX_COMMIT_BYTES);
  #events: DriverEvents<Append> | undefined;
  #active: ActiveSegment | undefined;
  #queue: Append[] = [];
  #committing: Promise<void> | undefined;
  /** Finished segments whose index is being written. */
  readonly #finishing = new Set<Promise<void>>();
  readonly #stop: WriteStop;
  #dirty = false;

  constructor(options: EmbeddedDriverOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#keyring = options.keyring;
    this.#active = options.active;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#stop = new WriteStop(options.folder, options.retryMs);
  }

  start(events: DriverEvents<Append>): void {
    this.#events = events;
  }

  enqueue(append: Append): void {
    const refusal = this.refusal();
    if (refusal !== undefined) {
      this.#events?.failed([append], new NotWritten(refusal));
      return;
    }
    const head = this.#store.heads.of(append.stream);
    if (head.queued !== append.expectedRevision) {
      const actual = head.queued;
      if (actual === NO_STREAM) this.#store.heads.rollBack(append.stream);
      this.#events?.failed([append], new Conflict(append.stream, append.expectedRevision, actual));
      return;
    }
    head.queued += append.records.length;
    this.#queue.push(append);
    // Everything that this turn of the event loop brings goes into one commit.
    this.#committing ??= new Promise((resolve) => {
      setImmediate(() => resolve(this.#commitAll()));
    });
  }

  async settled(): Promise<void> {
    while (this.#committing) await this.#committing;
  }

  revisionOf(stream: string): Revision {
    return this.#store.heads.get(stream)?.queued ?? NO_STREAM;
  }

  refusal(): string | undefined {
    return this.#stop.refusal();
  }

  writeState(): WriteState {
    return this.#stop.writeState();
  }

  head(): Position {
    return this.#store.head();
  }

  readStream(stream: string, options: ReadStreamOptions): AsyncIterable<readonly StoredRecord[]> {
    return this.#store.readStream(stream, options);
  }

  readAll(from: Position): AsyncIterable<readonly StoredRecord[]> {
    return this.#store.readAll(from);
  }

  readAt(position: Position): Promise<StoredRecord | undefined> {
    return this.#store.readAt(position);
  }

  async close(): Promise<void> {
    await this.settled();
    await Promise.all(this.#finishing);
    if (this.#dirty && !this.#stop.isStopped) {
      // Without the mark the next start only looks harder at the end of the log.
      await this.#keyring.markClean(this.head() + 1).catch(() => undefined);
    }
    await this.#active?.growing.settled();
    await this.#active?.growing.file.close();
    await this.#store.segments.close();
    this.#options.onClosed?.();
  }

  /**
   * Commits until nothing is queued. The disk is given the next commit before what depends on the last one hears of it: what
   * subscribers and callers do then goes on beside the disk.
   */
  async #commitAll(): Promise<void> {
    let commit = this.#begin();
    while (commit !== undefined) {
      const { batch } = commit;
      const outcome = await commit.outcome;
      // Nobody may see the head where it is now before the batch is reported: all this is one turn.
      if (outcome instanceof Error) this.#failAll(batch, outcome);
      else this.#moveHead(batch, outcome);
      commit = this.#begin();
      if (!(outcome instanceof Error)) this.#events?.committed(batch);
      // They may have appended more.
      commit ??= this.#begin();
    }
    this.#committing = undefined;
  }

  /** Takes what is queued and begins to write it; undefined if nothing is. */
  #begin(): Commit<Append> | undefined {
    if (this.#queue.length === 0) return undefined;
    const batch = this.#takeBatch();
    return { batch, outcome: this.#commit(batch) };
  }

  #takeBatch(): Append[] {
    let bytes = 0;
    let records = 0;
    let count = 0;
    for (const append of this.#queue) {
      bytes += append.bytes;
      records += append.records.length;
      if (count > 0 && (bytes > MAX_COMMIT_BYTES || records > MAX_COMMIT_RECORDS)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  /** Makes a batch durable. */
  async #commit(batch: readonly Append[]): Promise<Written | Error> {
    let active: ActiveSegment;
    try {
      const { bytes, keys } = sizeOf(batch);
      // Nothing is awaited where nothing must be: the disk is to have it before anybody else goes on.
      active = this.#roomFor(bytes, keys) ?? (await this.#makeRoom(bytes, keys));
    } catch (error) {
      return this.#stop.after(error, 'nothing was written');
    }
    const { segment, growing } = active;
    const staged = this.#keyring.stage(
      batch.flatMap((append) => append.records.map((record) => record.keys)),
      this.head() + 1,
    );
    const offsets: number[] = [];
    const end = this.#encode(batch, segment, staged.firstSlot, offsets);
    this.#dirty = true;
    const results = await Promise.allSettled([
      this.#write(growing, this.#buffer.subarray(0, end - segment.end), segment.end),
      staged.write(),
    ]);
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    return errors.length > 0 ? this.#withdraw(active, errors) : { active, offsets, end };
  }

  /** Takes note of what is durable now. */
  #moveHead(batch: readonly Append[], { active, offsets, end }: Written): void {
    const { segment, growing } = active;
    for (const offset of offsets) segment.offsets?.push(offset);
    segment.count += offsets.length;
    segment.end = end;
    for (const append of batch) {
      const head = this.#store.heads.of(append.stream);
      if (head.writing) {
        head.revision = head.writing.revision;
        head.chain = head.writing.chain;
        head.writing = undefined;
      }
      active.touched.add(append.stream);
    }
    this.#stop.clear();
    growing.growAhead(end, this.#segmentBytes);
  }

  /** The segment that is written if it has room for so much, and the keyring too. */
  #roomFor(bytes: number, keys: number): ActiveSegment | undefined {
    const active = this.#active;
    if (active === undefined || this.#isFull(active, bytes)) return undefined;
    return active.growing.hasRoom(active.segment.end + bytes) && this.#keyring.hasRoom(keys) ? active : undefined;
  }

  /** Sees to it that there is a segment with room, and slots with room. Throws what the disk says. */
  async #makeRoom(bytes: number, keys: number): Promise<ActiveSegment> {
    let active = this.#active;
    if (active === undefined || this.#isFull(active, bytes)) active = await this.#beginSegment();
    await Promise.all([active.growing.reserve(active.segment.end + bytes), this.#keyring.reserve(keys)]);
    return active;
  }

  #isFull({ segment }: ActiveSegment, bytes: number): boolean {
    return segment.count > 0 && segment.end + bytes > this.#segmentBytes;
  }

  /** Frames the batch into the buffer; gives where it will end in the segment. */
  #encode(batch: readonly Append[], segment: Segment, firstSlot: number, offsets: number[]): number {
    const commitStart = segment.end;
    const lastAppend = batch.at(-1);
    let position = this.head() + 1;
    let slot = firstSlot;
    let at = 0;
    for (const append of batch) {
      append.firstPosition = position;
      const head = this.#store.heads.of(append.stream);
      let { revision, chain } = head.writing ?? head;
      const lastRecord = append === lastAppend ? append.records.at(-1) : undefined;
      for (const record of append.records) {
        const previous = chain[0] ?? -1;
        chain = nextChain(chain, revision, position);
        revision += 1;
        offsets.push(commitStart + at);
        at = encodeFrame(this.#buffer, at, record, {
          position,
          previous,
          skip: chain[1] ?? -1,
          firstKeySlot: slot,
          commitStart,
          lastOfCommit: record === lastRecord,
        });
        position += 1;
        slot += record.sections.length;
      }
      head.writing = { revision, chain };
    }
    return commitStart + at;
  }

  async #write(growing: GrowingFile, bytes: Buffer, at: number): Promise<void> {
    const writing = growing.file.writeAtOnce(bytes, at);
    if (writing !== undefined) await writing;
    try {
      await growing.file.datasync();
    } catch (error) {
      throw new OutcomeUnknown(`${growing.file.path} could not be synced: ${messageOf(error)}`);
    }
  }

  /** Takes back a commit of which something failed. */
  async #withdraw(active: ActiveSegment, errors: readonly unknown[]): Promise<Error> {
    const unsynced = errors.find((error) => error instanceof OutcomeUnknown);
    if (unsynced instanceof OutcomeUnknown) return this.#stop.forGood(unsynced.message);
    const failure = errors[0];
    try {
      // What was written of it must not be there after a restart.
      await active.growing.cut(active.segment.end);
    } catch (error) {
      return this.#stop.forGood(
        `${messageOf(failure)}, and what was written could not be taken back: ${messageOf(error)}`,
      );
    }
    return this.#stop.after(failure, 'what was written of the last commit was taken back');
  }

  #failAll(batch: readonly Append[], error: Error): void {
    const behind = this.#queue;
    this.#queue = [];
    for (const append of batch) this.#store.heads.rollBack(append.stream);
    for (const append of behind) this.#store.heads.rollBack(append.stream);
    this.#events?.failed(batch, error);
    if (behind.length === 0) return;
    this.#events?.failed(behind, new NotWritten(`a commit before this append failed: ${error.message}`));
  }

  /** Finishes the segment that is written, and begins the next. */
  async #beginSegment(): Promise<ActiveSegment> {
    const { files, folder } = this.#options;
    const segment = segmentAt(folder, this.head() + 1);
    const temporary = path.join(folder, NEW_SEGMENT);
    const made = await files.open(temporary, 'create');
    try {
      await made.write(encodeSegmentHeader({ firstPosition: segment.firstPosition, logId: this.#keyring.logId }), 0);
      await made.datasync();
    } finally {
      await made.close();
    }
    await files.rename(temporary, segment.path);
    await files.syncFolder(folder);
    const file = await files.open(segment.path, 'write');
    segment.offsets = new OffsetList();
    if (this.#active) this.#finish(this.#active);
    this.#active = {
      segment,
      growing: new GrowingFile(file, SEGMENT_HEADER_BYTES, Math.min(GROW_BYTES, this.#segmentBytes)),
      touched: new Set(),
    };
    this.#store.segments.add(segment);
    return this.#active;
  }

  /** Writes the index of a finished segment beside what else goes on. It can be made again, so failing does no harm. */
  #finish({ segment, growing, touched }: ActiveSegment): void {
    const heads = [...touched].map((stream) => {
      const { revision, chain } = this.#store.heads.of(stream);
      return { stream, revision, chain };
    });
    const offsets = segment.offsets?.toArray() ?? new Uint32Array();
    const index = encodeIndex(segment.firstPosition, segment.end, offsets, heads);
    const work = (async () => {
      await growing.cut(segment.end);
      await growing.file.close();
      await writeIndexFile(this.#options.files, segment, index);
      await this.#store.segments.useIndexFile(segment);
    })()
      .catch(() => undefined)
      .finally(() => this.#finishing.delete(work));
    this.#finishing.add(work);
  }
}

/** What a batch takes: bytes of its segment and slots for keys. */
function sizeOf(batch: readonly SealedAppend[]): { bytes: number; keys: number } {
  let bytes = 0;
  let keys = 0;
  for (const append of batch) {
    for (const record of append.records) {
      bytes += frameSize(record);
      keys += record.sections.length;
    }
  }
  return { bytes, keys };
}

/** Writes an index so that it is there whole or not at all; it carries checksums and needs no sync. */
export async function writeIndexFile(files: FileSystem, segment: Segment, index: Buffer): Promise<void> {
  const temporary = `${segment.indexPath}.tmp`;
  const file = await files.open(temporary, 'create');
  try {
    await file.write(index, 0);
  } finally {
    await file.close();
  }
  await files.rename(temporary, segment.indexPath);
}
