/** Reading frames one behind the other. */
import type { Position } from '../event-log.ts';
import type { OpenFile } from './files.ts';
import { claimedFrameSize, decodeFrame, type Frame } from './frame.ts';

/** Bytes read at once: some hundred records, a few milliseconds of work. */
export const READ_CHUNK_BYTES = 512 * 1024;

/** The bytes at an offset are no frame, or not the expected one. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame';
  readonly offset: number;
  /** The position that the frame should have. */
  readonly position: Position;
  constructor(offset: number, position: Position, what: string) {
    super(what);
    this.offset = offset;
    this.position = position;
  }
}

/**
 * The frames between two offsets, in batches; the first one must have the given position and each next the next.
 * Throws {@link BadFrame} at the first place where that is not so, after giving what was good before it. With
 * `reuseBuffer` the frames of a batch are valid only until the next is asked for.
 */
export async function* readFrames(
  file: OpenFile,
  start: number,
  end: number,
  firstPosition: Position,
  reuseBuffer = false,
): AsyncGenerator<Frame[]> {
  let buffer = Buffer.alloc(0);
  let at = start;
  let position = firstPosition;
  let chunkBytes = READ_CHUNK_BYTES;
  while (at < end) {
    const wanted = Math.min(chunkBytes, end - at);
    if (!reuseBuffer || buffer.length < wanted) buffer = Buffer.allocUnsafeSlow(wanted);
    const chunk = buffer.subarray(0, await file.read(buffer.subarray(0, wanted), at));
    const frames: Frame[] = [];
    let used = 0;
    let failure: BadFrame | undefined;
    while (used < chunk.length) {
      const frame = decodeFrame(chunk, used, at + used);
      if (frame === undefined) {
        // A frame that goes on behind this chunk is read with the next one.
        const claimed = claimedFrameSize(chunk, used);
        const goesOn = chunk.length - used < 8 || used + claimed > chunk.length;
        if (goesOn && chunk.length === wanted && at + wanted < end) {
          chunkBytes = Math.max(READ_CHUNK_BYTES, claimed);
          if (used > 0 || chunkBytes > wanted) break;
        }
        failure = new BadFrame(at + used, position, 'there is no whole record with a matching checksum');
        break;
      }
      if (frame.position !== position) {
        failure = new BadFrame(at + used, position, `the record there says it is number ${frame.position}`);
        break;
      }
      frames.push(frame);
      used += frame.size;
      position += 1;
    }
    if (frames.length > 0) yield frames;
    if (failure) throw failure;
    if (chunk.length < wanted && used === chunk.length) {
      throw new BadFrame(at + used, position, 'the file ends before it');
    }
    at += used;
  }
}
