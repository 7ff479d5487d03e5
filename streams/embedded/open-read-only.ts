/** Opens a log for reading, beside the server that writes it or without one: no lock is taken, nothing is changed. */
import { Damaged, type LogRecord, type Position, type ReadStreamOptions } from '../event-log.ts';
import { FileKeyring } from '../keyring/file-keyring.ts';
import { MasterKeyProblem } from '../keyring/master-key.ts';
import type { LogLayout, RawRecord, ReadOnlyLog } from '../raw-log.ts';
import { leafHash } from '../record-format.ts';
import { keyFor, openRecords, rawRecord, storedRecord } from '../record-reader.ts';
import { checkSections, type SectionCheck } from '../section-check.ts';
import { damagedAt } from './damage.ts';
import { diskFiles, type FileSystem, type OpenFile } from './files.ts';
import type { Frame } from './frame.ts';
import { type LoadedLog, loadLog, openSegment, SegmentScan, type Tail } from './load.ts';
import { logPaths } from './paths.ts';
import { isWorthReadingAhead, readAhead } from './read-ahead.ts';
import { openKeyringReadOnly } from './read-only-keyring.ts';
import { RecordStore } from './record-store.ts';
import { layoutOf } from './scan-log.ts';
import { listSegments, segmentAt } from './segments.ts';

/**
 * How often the same place is looked at when it seems damaged: it may have been read while it was written. What is damaged stays where
 * it is; behind a server that writes, the end is somewhere else each time.
 */
const MAX_LOOKS = 5;

export interface ReadOnlyOptions {
  /** Folder of the log. */
  readonly folder: string;
  /** Default: `master.key` in the folder. */
  readonly masterKeyFile?: string;
  /** False to read stored records only: neither keyring nor master key is needed. Default true. */
  readonly withKeys?: boolean;
  /**
   * Told of damage at the end of the last segment instead of failing: the log is then open up to there. For those who look
   * for damage.
   */
  readonly onDamage?: (damage: Damaged) => void;
  readonly files?: FileSystem;
}

/** There is no log in the folder. */
export class NoLog extends Error {
  override readonly name = 'NoLog';
}

/** Opens a log for reading. Throws {@link NoLog}, {@link MasterKeyProblem} or `Damaged`. */
export async function openLogReadOnly(options: ReadOnlyOptions): Promise<ReadOnlyLog> {
  const files = options.files ?? diskFiles;
  const paths = logPaths(options.folder);
  const hasKeyring = await FileKeyring.exists(files, paths.keyring);
  if (!hasKeyring && (await listSegments(files, paths.segments)).length === 0) {
    throw new NoLog(`there is no log in ${options.folder}`);
  }
  let keyring: FileKeyring | undefined;
  if (options.withKeys !== false) {
    keyring = await openKeyringReadOnly(files, options.folder, options.masterKeyFile);
  }
  try {
    const accept = (frames: readonly Frame[], file: OpenFile) => isDurable(frames, file, keyring);
    const loaded = await loadLog({ files, folder: paths.segments, logId: keyring?.logId, accept });
    const log = new BesideLog(files, options, keyring, loaded);
    if (loaded.last?.tail.verdict.verdict === 'damaged') await log.refresh().catch(orTell(options.onDamage));
    return log;
  } catch (error) {
    await keyring?.close();
    throw error;
  }
}

function orTell(onDamage: ReadOnlyOptions['onDamage']): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof Damaged) || onDamage === undefined) throw error;
    onDamage(error);
  };
}

/** Whether a commit that was seen is sure to stay: made durable from here, with its keys where those can be seen. */
async function isDurable(frames: readonly Frame[], file: OpenFile, keyring: FileKeyring | undefined): Promise<boolean> {
  for (const frame of frames) {
    for (let index = 0; index < frame.sections.length; index++) {
      if ((await keyring?.stateOf(frame.firstKeySlot + index)) === 'missing') return false;
    }
  }
  await Promise.all([file.datasync(), keyring?.sync()]);
  return true;
}

class BesideLog implements ReadOnlyLog {
  readonly #files: FileSystem;
  readonly #folder: string;
  readonly #masterKeyFile: string | undefined;
  readonly #segmentFolder: string;
  readonly #keyring: FileKeyring | undefined;
  readonly #store: RecordStore;
  #scan: SegmentScan | undefined;
  #refreshing: Promise<unknown> = Promise.resolve();

  constructor(
    files: FileSystem,
    { folder, masterKeyFile }: ReadOnlyOptions,
    keyring: FileKeyring | undefined,
    loaded: LoadedLog,
  ) {
    this.#files = files;
    this.#folder = folder;
    this.#masterKeyFile = masterKeyFile;
    this.#segmentFolder = logPaths(folder).segments;
    this.#keyring = keyring;
    this.#store = new RecordStore(loaded.segments, loaded.heads);
    this.#scan = loaded.last?.scan;
  }

  head(): Position {
    return this.#store.head();
  }

  refresh(): Promise<Position> {
    const refreshed = this.#refreshing.then(() => this.#refresh());
    this.#refreshing = refreshed.catch(() => undefined);
    return refreshed;
  }

  async *readLeaves(from: Position): AsyncIterable<readonly Buffer[]> {
    for await (const stored of this.#store.readAll(from)) yield stored.map((one) => leafHash(one.header, one.sections));
  }

  async readRaw(position: Position): Promise<RawRecord | undefined> {
    const stored = await this.#store.readAt(position);
    return stored && rawRecord(stored);
  }

  async *readAllRaw(from: Position): AsyncIterable<readonly RawRecord[]> {
    for await (const stored of this.#store.readAll(from)) yield stored.map(rawRecord);
  }

  async *scanRaw(from: Position, to: Position): AsyncIterable<readonly RawRecord[]> {
    for await (const stored of this.#store.scan(from, to)) yield stored.map(rawRecord);
  }

  layout(): LogLayout {
    return layoutOf(this.#folder, this.#masterKeyFile, this.#store.segments);
  }

  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncIterable<LogRecord> {
    for await (const stored of this.#store.readStream(stream, options)) yield* await openRecords(stored, this.#keys());
  }

  async *readAll(from: Position): AsyncIterable<readonly LogRecord[]> {
    const to = this.head();
    // Files of a test's are not those that another thread would open.
    if (this.#files === diskFiles && this.#keyring !== undefined && isWorthReadingAhead(to - from)) {
      yield* readAhead({ layout: this.layout(), from, to });
      return;
    }
    for await (const stored of this.#store.readAll(from)) yield await openRecords(stored, this.#keys());
  }

  async readAt(position: Position): Promise<LogRecord | undefined> {
    const stored = await this.#store.readAt(position);
    return stored && (await openRecords([stored], this.#keys()))[0];
  }

  async openRecord(record: RawRecord): Promise<LogRecord> {
    const { position, header, sealedSections } = record;
    const firstKeySlot = record.firstKeySlot ?? (await this.#store.readAt(position))?.firstKeySlot;
    if (firstKeySlot === undefined) throw new RangeError(`there is no record at position ${position}`);
    const [opened] = await openRecords([{ position, header, sections: sealedSections, firstKeySlot }], this.#keys());
    if (opened === undefined) throw new RangeError('one record opens to one record');
    return opened;
  }

  async openRecords(records: readonly RawRecord[]): Promise<readonly LogRecord[]> {
    return openRecords(records.map(storedRecord), this.#keys());
  }

  checkSections(records: readonly RawRecord[]): Promise<SectionCheck> {
    return checkSections(records, this.#keys());
  }

  async sectionKeys({ firstKeySlot, sealedSections }: RawRecord): Promise<readonly (Buffer | null)[]> {
    const keyring = this.#keys();
    if (firstKeySlot === undefined) throw new RangeError('not a record of this log: it has no key slot');
    const keys: (Buffer | null)[] = [];
    for (let index = 0; index < sealedSections.length; index++) {
      const known = keyring.peek(firstKeySlot + index);
      const key = known === undefined ? await keyFor(keyring, firstKeySlot + index) : known;
      keys.push(key && Buffer.from(key));
    }
    return keys;
  }

  async close(): Promise<void> {
    await this.#refreshing;
    await this.#store.segments.close();
    await this.#keyring?.close();
  }

  #keys(): FileKeyring {
    if (this.#keyring) return this.#keyring;
    throw new MasterKeyProblem('the log was opened without its keys: stored records can be read, opened ones cannot');
  }

  async #refresh(): Promise<Position> {
    await this.#keyring?.refresh();
    for (;;) {
      // Listed first: if a later segment is there, this one was finished before it is read.
      const starts = await listSegments(this.#files, this.#segmentFolder);
      if (this.#scan) await this.#readOn(this.#scan);
      const next = this.head() + 1;
      if (!starts.includes(next) || this.#scan?.segment.firstPosition === next) return this.head();
      this.#scan = new SegmentScan(segmentAt(this.#segmentFolder, next), this.#store.heads);
      this.#store.segments.add(this.#scan.segment);
    }
  }

  async #readOn(scan: SegmentScan): Promise<void> {
    const logId = this.#keyring?.logId;
    const file = await openSegment({ files: this.#files, logId }, scan.segment);
    try {
      let stop = -1;
      for (let look = 1; ; look++) {
        const tail: Tail = await scan.run(file, (frames) => isDurable(frames, file, this.#keyring));
        if (tail.verdict.verdict !== 'damaged') return;
        if (tail.stop !== stop) look = 1;
        stop = tail.stop;
        // Its keys may have been written since.
        await this.#keyring?.refresh();
        if (look < MAX_LOOKS) continue;
        throw damagedAt(scan.segment.path, tail.stop, this.head() + 1 + tail.records, tail.verdict.what);
      }
    } finally {
      await file.close();
    }
  }
}
