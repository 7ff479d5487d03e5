/** Reading from segments: by position, all in order, and along one stream. Used by the driver and beside a running server. */
import type { Position, ReadStreamOptions, Revision } from '../event-log.ts';
import type { StoredRecord } from '../log-driver.ts';
import { damagedAt } from './damage.ts';
import type { Frame } from './frame.ts';
import { clearLowestBit, type StreamHeads } from './heads.ts';
import type { FrameWindow, Segments } from './segments.ts';

/** Revisions of a stream that are walked and given together. */
const STREAM_BATCH_RECORDS = 256;
/** Bytes read around a record on the way back along a stream. */
const WALK_WINDOW_BYTES = 32 * 1024;

/** A record of a stream on the way to another. */
interface Step {
  readonly revision: Revision;
  readonly frame: Frame;
}

export class RecordStore {
  readonly segments: Segments;
  readonly heads: StreamHeads;

  constructor(segments: Segments, heads: StreamHeads) {
    this.segments = segments;
    this.heads = heads;
  }

  head(): Position {
    return this.segments.head;
  }

  readAt(position: Position): Promise<StoredRecord | undefined> {
    return this.segments.frameAt(position);
  }

  readAll(from: Position): AsyncIterable<readonly StoredRecord[]> {
    return this.segments.framesAfter(from, this.head());
  }

  /** Records after `from` up to `goal` for whoever keeps none of them: a batch is valid only until the next is asked for. */
  scan(from: Position, goal: Position): AsyncIterable<readonly StoredRecord[]> {
    return this.segments.framesAfter(from, Math.min(goal, this.head()), true);
  }

  async *readStream(stream: string, options: ReadStreamOptions): AsyncIterable<readonly StoredRecord[]> {
    const head = this.heads.get(stream);
    if (head === undefined || head.revision < 0) return;
    const last = head.revision;
    const limit = options.limit ?? Number.POSITIVE_INFINITY;
    const walk = new StreamWalk(this.segments, stream, last, head.chain[0] ?? -1);
    if (options.direction === 'backwards') {
      const start = Math.min(options.from ?? last, last);
      const lowest = Math.max(0, start - limit + 1);
      for (let high = start; high >= lowest; high -= STREAM_BATCH_RECORDS) {
        yield await walk.back(high, Math.max(lowest, high - STREAM_BATCH_RECORDS + 1));
      }
      return;
    }
    const highest = Math.min(last, (options.from ?? 0) + limit - 1);
    for (let low = Math.max(0, options.from ?? 0); low <= highest; low += STREAM_BATCH_RECORDS) {
      yield (await walk.back(Math.min(highest, low + STREAM_BATCH_RECORDS - 1), low)).reverse();
    }
  }
}

/** Finds records of one stream by following links from its head. */
class StreamWalk {
  readonly #segments: Segments;
  readonly #stream: string;
  readonly #headRevision: Revision;
  readonly #headPosition: Position;
  #window: FrameWindow | undefined;
  /** The last record walked to: going on from there is shorter than from the head. */
  #here: Step | undefined;

  constructor(segments: Segments, stream: string, headRevision: Revision, headPosition: Position) {
    this.#segments = segments;
    this.#stream = stream;
    this.#headRevision = headRevision;
    this.#headPosition = headPosition;
  }

  /** The records of revisions `high` down to `low`. */
  async back(high: Revision, low: Revision): Promise<Frame[]> {
    let step = await this.#seek(high);
    const frames = [step.frame];
    while (step.revision > low) {
      step = await this.#step(step.revision - 1, step.frame.previous);
      frames.push(step.frame);
    }
    this.#here = step;
    return frames;
  }

  async #seek(target: Revision): Promise<Step> {
    let step =
      this.#here !== undefined && this.#here.revision >= target
        ? this.#here
        : await this.#step(this.#headRevision, this.#headPosition);
    while (step.revision > target) {
      const far = clearLowestBit(step.revision);
      step =
        far >= target
          ? await this.#step(far, step.frame.skip)
          : await this.#step(step.revision - 1, step.frame.previous);
    }
    return step;
  }

  async #step(revision: Revision, position: Position): Promise<Step> {
    let frame = this.#window?.at(position);
    if (frame === undefined) {
      this.#window = await this.#segments.windowBefore(position, WALK_WINDOW_BYTES);
      frame = this.#window?.frame;
    }
    if (frame === undefined || !isOf(frame, this.#stream, revision)) {
      throw damagedAt('the log', 0, position, `there should be revision ${revision} of stream ${this.#stream}`);
    }
    return { revision, frame };
  }
}

/** Whether the frame's header says this stream and revision, without decoding all of it. */
function isOf(frame: Frame, stream: string, revision: Revision): boolean {
  const { header } = frame;
  const nameEnd = 2 + stream.length;
  return (
    header[1] === stream.length &&
    header.toString('latin1', 2, nameEnd) === stream &&
    header.readUIntBE(nameEnd, 6) === revision
  );
}
