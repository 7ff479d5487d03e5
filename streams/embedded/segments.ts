/** The segments of a log in order: where each record lies, and the open files through which it is read. */
import path from 'node:path';
import { BEFORE_FIRST, type Position } from '../event-log.ts';
import { damagedAt } from './damage.ts';
import type { FileSystem, OpenFile } from './files.ts';
import { decodeFrame, type Frame, SEGMENT_HEADER_BYTES } from './frame.ts';
import { BadFrame, readFrames } from './frame-reader.ts';
import { decodeIndexSummary, decodeOffsets, INDEX_HEADER_BYTES } from './segment-index.ts';

const SEGMENT_NAME = /^(\d{16})\.seg$/;
/** Most finished segments whose file and offsets are kept at hand (256 KiB of offsets each or so). */
const MAX_OPEN_SEGMENTS = 32;

/** Room for offsets that a list has at first. */
const FEWEST_OFFSETS = 1024;

/** Offsets of records, growing: for the segment that is written and for one without an index file. */
export class OffsetList {
  #offsets: Uint32Array;
  length: number;

  /** `offsets`: those that are there already. */
  constructor(offsets: Uint32Array = new Uint32Array()) {
    this.#offsets = offsets;
    this.length = offsets.length;
  }

  push(offset: number): void {
    if (this.length === this.#offsets.length) {
      const larger = new Uint32Array(Math.max(FEWEST_OFFSETS, 2 * this.length));
      larger.set(this.#offsets);
      this.#offsets = larger;
    }
    this.#offsets[this.length++] = offset;
  }

  at(index: number): number | undefined {
    return index < this.length ? this.#offsets[index] : undefined;
  }

  toArray(): Uint32Array {
    return this.#offsets.slice(0, this.length);
  }
}

/** One segment. */
export interface Segment {
  readonly path: string;
  readonly indexPath: string;
  readonly firstPosition: Position;
  /** Durable records. */
  count: number;
  /** Where the last durable frame ends. */
  end: number;
  /** Offsets of the records where they are in memory; otherwise they are in the index file. */
  offsets: OffsetList | undefined;
}

interface OpenSegment {
  readonly file: OpenFile;
  /** Where each record starts, by its number in the segment. */
  readonly offsets: { at(index: number): number | undefined };
  users: number;
  evicted: boolean;
}

export class Segments {
  readonly #files: FileSystem;
  readonly #list: Segment[] = [];
  readonly #open = new Map<Segment, Promise<OpenSegment>>();
  #closed = false;

  constructor(files: FileSystem) {
    this.#files = files;
  }

  get all(): readonly Segment[] {
    return this.#list;
  }

  get last(): Segment | undefined {
    return this.#list.at(-1);
  }

  /** Position of the last durable record. */
  get head(): Position {
    const last = this.last;
    return last === undefined ? BEFORE_FIRST : last.firstPosition + last.count - 1;
  }

  add(segment: Segment): void {
    this.#list.push(segment);
  }

  /** One record's frame, checked; undefined behind the head. */
  async frameAt(position: Position): Promise<Frame | undefined> {
    const segment = this.#find(position);
    return segment && this.#use(segment, (open) => readOne(segment, open, position));
  }

  /**
   * The frame of a record and, in the same read, as much as lies before it up to `windowBytes`: for walks that go back
   * along a stream.
   */
  async windowBefore(position: Position, windowBytes: number): Promise<FrameWindow | undefined> {
    const segment = this.#find(position);
    return segment && this.#use(segment, (open) => readWindow(segment, open, position, windowBytes));
  }

  /**
   * Frames after `from` up to `goal`, in batches of bounded size. With `reuseBuffer` those of a batch are valid only until
   * the next is asked for.
   */
  async *framesAfter(from: Position, goal: Position, reuseBuffer = false): AsyncGenerator<Frame[]> {
    let next = Math.max(from, BEFORE_FIRST) + 1;
    while (next <= goal) {
      const segment = this.#find(next);
      if (segment === undefined) return;
      const open = await this.#acquire(segment);
      try {
        const start = offsetOf(segment, open, next);
        const end = goal < segment.firstPosition + segment.count ? offsetOf(segment, open, goal + 1) : segment.end;
        for await (const frames of readFrames(open.file, start, end, next, reuseBuffer)) {
          const surplus = next + frames.length - 1 - goal;
          yield surplus > 0 ? frames.slice(0, -surplus) : frames;
          next += frames.length;
          if (surplus >= 0) return;
        }
      } catch (error) {
        if (error instanceof BadFrame) throw damagedAt(segment.path, error.offset, error.position, error.message);
        throw error;
      } finally {
        await this.#release(open);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const one of open) await this.#evict(one);
  }

  /** Lets go of the offsets of a segment that has an index file now. Who reads at the moment keeps them to the end. */
  async useIndexFile(segment: Segment): Promise<void> {
    segment.offsets = undefined;
    const open = this.#open.get(segment);
    this.#open.delete(segment);
    if (open) await this.#evict(open);
  }

  #find(position: Position): Segment | undefined {
    if (position < 0 || position > this.head) return undefined;
    let low = 0;
    let high = this.#list.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const segment = this.#list[middle];
      if (segment !== undefined && segment.firstPosition <= position) low = middle;
      else high = middle - 1;
    }
    const found = this.#list[low];
    return found !== undefined && position < found.firstPosition + found.count ? found : undefined;
  }

  async #use<T>(segment: Segment, work: (open: OpenSegment) => Promise<T>): Promise<T> {
    const open = await this.#acquire(segment);
    try {
      return await work(open);
    } finally {
      await this.#release(open);
    }
  }

  async #acquire(segment: Segment): Promise<OpenSegment> {
    if (this.#closed) throw new Error('the log is closed');
    let opening = this.#open.get(segment);
    if (opening === undefined) {
      opening = this.#openSegment(segment);
      this.#open.set(segment, opening);
      opening.catch(() => this.#open.delete(segment));
      this.#closeSurplus();
    } else if (segment !== this.last) {
      // The most recently used comes last.
      this.#open.delete(segment);
      this.#open.set(segment, opening);
    }
    const open = await opening;
    open.users += 1;
    return open;
  }

  async #release(open: OpenSegment): Promise<void> {
    open.users -= 1;
    if (open.evicted && open.users === 0) await open.file.close();
  }

  #closeSurplus(): void {
    for (const [segment, opening] of this.#open) {
      if (this.#open.size <= MAX_OPEN_SEGMENTS) return;
      this.#open.delete(segment);
      this.#evict(opening).catch(() => undefined);
    }
  }

  async #evict(opening: Promise<OpenSegment>): Promise<void> {
    const open = await opening;
    open.evicted = true;
    if (open.users === 0) await open.file.close();
  }

  async #openSegment(segment: Segment): Promise<OpenSegment> {
    const file = await this.#files.open(segment.path, 'read');
    try {
      const offsets = segment.offsets ?? (await this.#readOffsets(segment));
      return { file, offsets, users: 0, evicted: false };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async #readOffsets(segment: Segment): Promise<Uint32Array> {
    const index = await this.#files.open(segment.indexPath, 'read');
    try {
      const header = Buffer.alloc(INDEX_HEADER_BYTES);
      await index.read(header, 0);
      const summary = decodeIndexSummary(header);
      if (summary && summary.count === segment.count) {
        const bytes = Buffer.alloc(4 * summary.count);
        await index.read(bytes, INDEX_HEADER_BYTES + summary.headsBytes);
        const offsets = decodeOffsets(bytes, summary);
        if (offsets) return offsets;
      }
    } finally {
      await index.close();
    }
    throw damagedAt(
      segment.indexPath,
      0,
      segment.firstPosition,
      'the index does not match its checksum; it is made from the segment, so remove it and start the server again',
    );
  }
}

/** Frames that lie close before one that was asked for, decoded when wanted. */
export interface FrameWindow {
  readonly frame: Frame;
  /** The frame at a position if it is in the window. */
  at(position: Position): Frame | undefined;
}

/** The name of the segment that starts with a record. */
export function segmentName(firstPosition: Position): string {
  return `${String(firstPosition).padStart(16, '0')}.seg`;
}

/** First positions of the segments in a folder, ascending. */
export async function listSegments(files: FileSystem, folder: string): Promise<Position[]> {
  const names = await files.list(folder);
  return names.flatMap((name) => {
    const found = SEGMENT_NAME.exec(name);
    return found ? [Number(found[1])] : [];
  });
}

/** A segment about which nothing is known yet but where it starts. */
export function segmentAt(folder: string, firstPosition: Position): Segment {
  const file = path.join(folder, segmentName(firstPosition));
  const indexPath = file.replace(/\.seg$/, '.idx');
  return { path: file, indexPath, firstPosition, count: 0, end: SEGMENT_HEADER_BYTES, offsets: undefined };
}

function offsetOf(segment: Segment, open: OpenSegment, position: Position): number {
  const index = position - segment.firstPosition;
  if (index === segment.count) return segment.end;
  const offset = open.offsets.at(index);
  if (offset === undefined) throw damagedAt(segment.indexPath, 0, position, 'the index has no such record');
  return offset;
}

async function readOne(segment: Segment, open: OpenSegment, position: Position): Promise<Frame> {
  const offset = offsetOf(segment, open, position);
  const bytes = Buffer.allocUnsafe(offsetOf(segment, open, position + 1) - offset);
  await open.file.read(bytes, offset);
  return checkedFrame(segment, bytes, 0, offset, position);
}

async function readWindow(
  segment: Segment,
  open: OpenSegment,
  position: Position,
  windowBytes: number,
): Promise<FrameWindow> {
  const end = offsetOf(segment, open, position + 1);
  const offset = offsetOf(segment, open, position);
  const start = Math.max(SEGMENT_HEADER_BYTES, Math.min(offset, end - windowBytes));
  const bytes = Buffer.allocUnsafeSlow(end - start);
  await open.file.read(bytes, start);
  return {
    frame: checkedFrame(segment, bytes, offset - start, offset, position),
    at(other) {
      if (other < segment.firstPosition || other > position) return undefined;
      const otherOffset = offsetOf(segment, open, other);
      return otherOffset < start ? undefined : checkedFrame(segment, bytes, otherOffset - start, otherOffset, other);
    },
  };
}

function checkedFrame(segment: Segment, bytes: Buffer, at: number, offset: number, position: Position): Frame {
  const frame = decodeFrame(bytes, at, offset);
  if (frame?.position === position) return frame;
  throw damagedAt(segment.path, offset, position, 'there is no whole record with a matching checksum');
}
