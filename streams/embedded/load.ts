/** Reads what is needed of a log's folder before it can be used: indexes of finished segments, and the last segment whole. */
import path from 'node:path';
import { Damaged, type Position, type Revision } from '../event-log.ts';
import { decodeHeader } from '../record-format.ts';
import { damagedAt } from './damage.ts';
import type { FileSystem, OpenFile } from './files.ts';
import { decodeSegmentHeader, type Frame, SEGMENT_HEADER_BYTES } from './frame.ts';
import { BadFrame, readFrames } from './frame-reader.ts';
import { type Chain, nextChain, StreamHeads } from './heads.ts';
import { decodeHeads, decodeIndexSummary, encodeIndex, INDEX_HEADER_BYTES, type IndexedHead } from './segment-index.ts';
import { listSegments, OffsetList, type Segment, Segments, segmentAt, segmentName } from './segments.ts';
import { judgeTail, type TailVerdict } from './torn-tail.ts';

/** What is behind the last whole commit of the last segment. */
export interface Tail {
  readonly verdict: TailVerdict;
  /** Where reading stopped. */
  readonly stop: number;
  /** Whole records of the commit that was never finished. */
  readonly records: number;
}

/** A folder as it was found. Nothing has been changed in it. */
export interface LoadedLog {
  readonly segments: Segments;
  readonly heads: StreamHeads;
  /** The last segment and what is behind its last whole commit; undefined for a log without segments. */
  readonly last: { readonly scan: SegmentScan; readonly tail: Tail } | undefined;
  /** Finished segments without a usable index file; their offsets are in memory. */
  readonly unindexed: readonly UnindexedSegment[];
}

/** A finished segment and what its index file is to say. */
export interface UnindexedSegment {
  readonly segment: Segment;
  readonly index: Buffer;
}

export interface LoadOptions {
  readonly files: FileSystem;
  /** Folder of the segments. */
  readonly folder: string;
  /** The id that the segments must carry, where it is known. */
  readonly logId: Buffer | undefined;
  readonly accept: AcceptCommit;
}

/** Loads a log. Throws {@link Damaged} for anything that a crash cannot have left. */
export async function loadLog(options: LoadOptions): Promise<LoadedLog> {
  const { files, folder } = options;
  const starts = await listSegments(files, folder);
  const segments = new Segments(files);
  const heads = new StreamHeads();
  const unindexed: UnindexedSegment[] = [];
  let next: Position = 0;
  for (const [place, start] of starts.entries()) {
    if (start !== next) throw missingSegment(folder, next, start);
    if (place === starts.length - 1) break;
    const segment = segmentAt(folder, start);
    if (!(await readIndex(files, segment, heads))) {
      unindexed.push({ segment, index: encodeScanned(await scanFinished(options, segment, heads)) });
    }
    segments.add(segment);
    next = start + segment.count;
  }
  const last = starts.at(-1);
  if (last === undefined) {
    return { segments, heads, last: undefined, unindexed };
  }
  const scan = new SegmentScan(segmentAt(folder, last), heads);
  segments.add(scan.segment);
  const file = await openSegment(options, scan.segment);
  try {
    return { segments, heads, last: { scan, tail: await scan.run(file, options.accept) }, unindexed };
  } finally {
    await file.close();
  }
}

/** Opens a segment for reading and checks its header. */
export async function openSegment(
  { files, logId }: Pick<LoadOptions, 'files' | 'logId'>,
  segment: Segment,
): Promise<OpenFile> {
  const file = await files.open(segment.path, 'read');
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  await file.read(bytes, 0);
  const header = decodeSegmentHeader(bytes);
  const belongs = header?.firstPosition === segment.firstPosition && header.logId.equals(logId ?? header.logId);
  if (belongs) return file;
  await file.close();
  const what = header === undefined ? 'this is no segment header' : 'this segment belongs elsewhere';
  throw damagedAt(segment.path, 0, segment.firstPosition, what);
}

/** Whether a commit that is whole in its segment is whole: its keys are there too. */
export type AcceptCommit = (frames: readonly Frame[], file: OpenFile) => Promise<boolean>;

/** What a scan keeps of a frame. */
interface ScannedRecord extends Pick<Frame, 'offset' | 'size' | 'position' | 'previous' | 'skip'> {
  readonly stream: string;
  readonly revision: Revision;
  /** Slot of its last key, or that before its first if it has none. */
  readonly lastKeySlot: number;
}

/** Reads the frames of one segment, commit by commit, and moves the heads of the streams along. */
export class SegmentScan {
  readonly segment: Segment;
  /** Where the last commit taken starts. */
  lastCommitStart: number | undefined;
  /** Highest slot of the keyring that a record taken refers to. */
  highestKeySlot = -1;
  readonly #heads: StreamHeads;
  readonly #offsets = new OffsetList();
  readonly #touched = new Set<string>();

  constructor(segment: Segment, heads: StreamHeads) {
    this.segment = segment;
    this.#heads = heads;
    segment.offsets ??= this.#offsets;
    this.#offsets = segment.offsets;
  }

  /** Heads of the streams in this segment. */
  get touched(): IndexedHead[] {
    return [...this.#touched].map((stream) => {
      const { revision, chain } = this.#heads.of(stream);
      return { stream, revision, chain };
    });
  }

  /**
   * Reads on from where the last whole commit ended, to where no whole record follows. `accept` is asked about the very
   * last commit only: its keys may be missing, those of an earlier one cannot be.
   */
  async run(file: OpenFile, accept: AcceptCommit): Promise<Tail> {
    const { segment } = this;
    const firstPosition = segment.firstPosition + segment.count;
    let commit: ScannedRecord[] = [];
    let last: ScannedRecord[] | undefined;
    let stop = segment.end;
    try {
      const size = await file.size();
      for await (const frames of readFrames(file, segment.end, size, firstPosition, true)) {
        for (const frame of frames) {
          if (frame.commitStart !== (commit[0]?.offset ?? stop)) {
            throw damagedAt(
              segment.path,
              frame.offset,
              frame.position,
              'the record before it is not the end of its commit',
            );
          }
          commit.push(this.#scanned(frame));
          stop = frame.offset + frame.size;
          if (!frame.lastOfCommit) continue;
          if (last) this.#take(last);
          last = commit;
          commit = [];
        }
      }
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      stop = error.offset;
    }
    const commitEnd = commit[0]?.offset ?? endOf(last) ?? segment.end;
    const verdict = await judgeTail(file, commitEnd, stop);
    if (last === undefined) return { verdict, stop, records: commit.length };
    if (await accept(await readCommit(file, last), file)) {
      this.#take(last);
      return { verdict, stop, records: commit.length };
    }
    const unaccepted = last.length + commit.length;
    if (verdict.verdict === 'clean') {
      return { verdict: { verdict: 'torn', bytes: stop - segment.end }, stop, records: unaccepted };
    }
    const what = 'the keys of the records before it are not in the keyring, although a later commit was begun';
    return { verdict: { verdict: 'damaged', what }, stop, records: unaccepted };
  }

  #scanned(frame: Frame): ScannedRecord {
    const { offset, size, position, previous, skip } = frame;
    const { stream, revision } = headerOf(this.segment, frame);
    const lastKeySlot = frame.firstKeySlot + frame.sections.length - 1;
    return { offset, size, position, previous, skip, stream, revision, lastKeySlot };
  }

  #take(frames: readonly ScannedRecord[]): void {
    const { segment } = this;
    for (const frame of frames) {
      this.#follow(frame);
      this.#offsets.push(frame.offset);
      segment.count += 1;
      segment.end = frame.offset + frame.size;
      this.highestKeySlot = Math.max(this.highestKeySlot, frame.lastKeySlot);
    }
    this.lastCommitStart = frames[0]?.offset;
  }

  /** Checks that the record follows the head of its stream, and moves the head. */
  #follow(frame: ScannedRecord): void {
    const { stream, revision } = frame;
    const head = this.#heads.of(stream);
    const chain: Chain = nextChain(head.chain, head.revision, frame.position);
    if (revision !== head.revision + 1) {
      throw damagedAt(
        this.segment.path,
        frame.offset,
        frame.position,
        `it is revision ${revision} of stream ${stream}, where revision ${head.revision + 1} should come`,
      );
    }
    if (frame.previous !== (head.chain[0] ?? -1) || frame.skip !== (chain[1] ?? -1)) {
      throw damagedAt(this.segment.path, frame.offset, frame.position, `its links do not lead along stream ${stream}`);
    }
    head.revision = revision;
    head.queued = revision;
    head.chain = chain;
    this.#touched.add(stream);
  }
}

/** The frames of a commit that was scanned. */
async function readCommit(file: OpenFile, records: readonly ScannedRecord[]): Promise<Frame[]> {
  const [first, end] = [records[0], endOf(records)];
  const frames: Frame[] = [];
  if (first === undefined || end === undefined) return frames;
  for await (const batch of readFrames(file, first.offset, end, first.position)) frames.push(...batch);
  return frames;
}

function endOf(frames: readonly ScannedRecord[] | undefined): number | undefined {
  const last = frames?.at(-1);
  return last && last.offset + last.size;
}

function headerOf(segment: Segment, frame: Frame) {
  try {
    return decodeHeader(frame.header);
  } catch (error) {
    if (error instanceof RangeError)
      throw damagedAt(segment.path, frame.offset, frame.position, 'its header cannot be read');
    throw error;
  }
}

/**
 * Takes over what the index file of a finished segment says; false if it is missing or not whole. Segments are taken in
 * order, so what a later one says of a stream replaces what an earlier one said.
 */
async function readIndex(files: FileSystem, segment: Segment, heads: StreamHeads): Promise<boolean> {
  let file: OpenFile;
  try {
    file = await files.open(segment.indexPath, 'read');
  } catch {
    return false;
  }
  try {
    const header = Buffer.alloc(INDEX_HEADER_BYTES);
    await file.read(header, 0);
    const summary = decodeIndexSummary(header);
    if (summary === undefined || summary.firstPosition !== segment.firstPosition) return false;
    // The offsets are read when they are wanted; that they are all there is seen now.
    if ((await file.size()) !== INDEX_HEADER_BYTES + summary.headsBytes + 4 * summary.count) return false;
    const bytes = Buffer.alloc(summary.headsBytes);
    await file.read(bytes, INDEX_HEADER_BYTES);
    if (!decodeHeads(bytes, summary, heads)) return false;
    segment.count = summary.count;
    segment.end = summary.end;
    await checkLength(files, segment);
    return true;
  } finally {
    await file.close();
  }
}

async function checkLength(files: FileSystem, segment: Segment): Promise<void> {
  const file = await files.open(segment.path, 'read');
  try {
    const size = await file.size();
    if (size < segment.end) {
      const last = segment.firstPosition + segment.count - 1;
      throw damagedAt(segment.path, size, last, `the file ends there; it had ${segment.end} bytes of records`);
    }
  } finally {
    await file.close();
  }
}

/** Reads a finished segment whole: it must have no tail. */
async function scanFinished(options: LoadOptions, segment: Segment, heads: StreamHeads): Promise<SegmentScan> {
  const scan = new SegmentScan(segment, heads);
  const file = await openSegment(options, segment);
  try {
    const { verdict, stop } = await scan.run(file, () => Promise.resolve(true));
    if (verdict.verdict !== 'clean') {
      const what = verdict.verdict === 'torn' ? 'the segment breaks off, but another follows it' : verdict.what;
      throw damagedAt(segment.path, stop, segment.firstPosition + segment.count, what);
    }
    return scan;
  } finally {
    await file.close();
  }
}

function encodeScanned(scan: SegmentScan): Buffer {
  const { firstPosition, end, offsets } = scan.segment;
  return encodeIndex(firstPosition, end, offsets?.toArray() ?? new Uint32Array(), scan.touched);
}

function missingSegment(folder: string, wanted: Position, found: Position): Damaged {
  const file = path.join(folder, segmentName(wanted));
  return new Damaged(
    `${file} is missing: the next segment there is starts with record ${found}, so records from ${wanted} on are not ` +
      'there. Put the file back from your backup, then run `stele verify`.',
  );
}
