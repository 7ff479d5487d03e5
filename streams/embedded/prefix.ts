/**
 * Where a log can be cut: at the end of a commit. What is before such a place is a log of its own, with the same records, the
 * same hashes and the same tree; what was written with one commit stays together.
 */
import { Damaged, type Position } from '../event-log.ts';
import { decodeHeader } from '../record-format.ts';
import { damagedAt } from './damage.ts';
import { diskFiles, type FileSystem, type OpenFile } from './files.ts';
import { SEGMENT_HEADER_BYTES } from './frame.ts';
import { BadFrame, readFrames } from './frame-reader.ts';
import { openSegment } from './load.ts';
import { decodeIndexSummary, INDEX_HEADER_BYTES, type IndexSummary } from './segment-index.ts';
import { listSegments, type Segment, segmentAt } from './segments.ts';

/** The first records of a log, up to the end of a commit. */
export interface LogPrefix {
  /** Number of records. */
  readonly records: number;
  /** The segments that hold them, in order; of the last one only the bytes before `end`. */
  readonly segments: readonly {
    readonly path: string;
    readonly firstPosition: Position;
    /** Bytes from the file's start that belong to the prefix. */
    readonly end: number;
  }[];
  /** The slot after the highest that holds a key of these records. */
  readonly nextKeySlot: number;
  /** When the last of them was recorded: milliseconds since the epoch; 0 for a log without records. */
  readonly recordedAtMs: number;
}

/** At most so many records, or none that was recorded after a moment (milliseconds since the epoch). */
export type PrefixLimit = { readonly records: number } | { readonly untilMs: number };

interface Reached {
  readonly records: number;
  readonly end: number;
  readonly nextKeySlot: number;
  readonly recordedAtMs: number;
}

/**
 * The longest prefix of whole commits within a limit. Nothing is locked or changed, so it works beside the server that writes:
 * what it has not finished is not looked at, as long as the limit is one of durable records.
 * @throws {Damaged} where segments are missing or cannot be read so far.
 */
export async function logPrefix(
  segmentFolder: string,
  limit: PrefixLimit,
  files: FileSystem = diskFiles,
): Promise<LogPrefix> {
  const starts = await listSegments(files, segmentFolder);
  let last = await lastSegmentWithin(files, segmentFolder, starts, limit);
  for (; last >= 0; last--) {
    const segment = segmentAt(segmentFolder, starts[last] ?? 0);
    const reached = await readWithin(files, segment, limit);
    if (reached === undefined) continue;
    const segments: LogPrefix['segments'][number][] = [];
    for (const [place, start] of starts.slice(0, last).entries()) {
      const whole = segmentAt(segmentFolder, start);
      const next = starts[place + 1] ?? 0;
      segments.push({ path: whole.path, firstPosition: start, end: await endOfWhole(files, whole, next) });
    }
    segments.push({ path: segment.path, firstPosition: segment.firstPosition, end: reached.end });
    const { records, nextKeySlot, recordedAtMs } = reached;
    return { records, segments, nextKeySlot, recordedAtMs };
  }
  return { records: 0, segments: [], nextKeySlot: 0, recordedAtMs: 0 };
}

/** The place in the list of the last segment whose first record is within the limit; -1 if there is none. */
async function lastSegmentWithin(
  files: FileSystem,
  folder: string,
  starts: readonly Position[],
  limit: PrefixLimit,
): Promise<number> {
  if ('records' in limit) return starts.findLastIndex((start) => start < limit.records);
  for (let place = starts.length - 1; place >= 0; place--) {
    const segment = segmentAt(folder, starts[place] ?? 0);
    const first = await firstRecordedAtMs(files, segment);
    if (first !== undefined && first <= limit.untilMs) return place;
  }
  return -1;
}

async function firstRecordedAtMs(files: FileSystem, segment: Segment): Promise<number | undefined> {
  const file = await openSegment({ files, logId: undefined }, segment);
  try {
    for await (const [frame] of readFrames(file, SEGMENT_HEADER_BYTES, await file.size(), segment.firstPosition)) {
      return frame && decodeHeader(frame.header).recordedAtMs;
    }
    return undefined;
  } catch (error) {
    // Nothing is in it yet.
    if (error instanceof BadFrame) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}

/** How far the whole commits of a segment are within the limit; undefined where not even the first is. */
async function readWithin(files: FileSystem, segment: Segment, limit: PrefixLimit): Promise<Reached | undefined> {
  const file = await openSegment({ files, logId: undefined }, segment);
  const wanted = 'records' in limit ? limit.records : Number.MAX_SAFE_INTEGER;
  const untilMs = 'untilMs' in limit ? limit.untilMs : Number.MAX_SAFE_INTEGER;
  let reached: Reached | undefined;
  let nextKeySlot = 0;
  try {
    const size = await file.size();
    for await (const frames of readFrames(file, SEGMENT_HEADER_BYTES, size, segment.firstPosition, true)) {
      for (const frame of frames) {
        const { recordedAtMs } = decodeHeader(frame.header);
        if (frame.position >= wanted || recordedAtMs > untilMs) return reached;
        nextKeySlot = Math.max(nextKeySlot, frame.firstKeySlot + frame.sections.length);
        if (!frame.lastOfCommit) continue;
        reached = { records: frame.position + 1, end: frame.offset + frame.size, nextKeySlot, recordedAtMs };
      }
    }
    return reached;
  } catch (error) {
    if (!(error instanceof BadFrame)) throw error;
    // The end of what is written, or of what can be read; whoever asked for more than that is told.
    if ('records' in limit && error.position < limit.records) {
      throw damagedAt(segment.path, error.offset, error.position, error.message);
    }
    return reached;
  } finally {
    await file.close();
  }
}

async function readSummary(files: FileSystem, segment: Segment): Promise<IndexSummary | undefined> {
  let file: OpenFile;
  try {
    file = await files.open(segment.indexPath, 'read');
  } catch {
    return undefined;
  }
  try {
    const header = Buffer.alloc(INDEX_HEADER_BYTES);
    await file.read(header, 0);
    return decodeIndexSummary(header);
  } finally {
    await file.close();
  }
}

/** Where the records of a finished segment end: as its index says, or else as reading it shows. */
async function endOfWhole(files: FileSystem, segment: Segment, next: Position): Promise<number> {
  const index = await readSummary(files, segment);
  if (index?.firstPosition === segment.firstPosition && index.firstPosition + index.count === next) return index.end;
  const reached = await readWithin(files, segment, { records: next });
  if (reached?.records !== next) {
    throw new Damaged(`${segment.path}: its records do not reach to record ${next - 1}. Run \`stele verify\`.`);
  }
  return reached.end;
}
