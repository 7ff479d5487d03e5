/**
 * What to make of a segment that does not go on with a whole record: a commit that was cut short by a crash and never
 * acknowledged, or damage to something that was.
 *
 * Commits are written one at a time into zeros, and the next begins only when the one before is durable. So what a crash
 * leaves behind the last whole commit is one commit with sectors missing (still zeros) or its end missing. A whole
 * record of a later commit, or a broken record none of whose sectors is missing, cannot come from that.
 */
import type { OpenFile } from './files.ts';
import { claimedFrameSize, decodeFrame, FRAME_ALIGN_BYTES, FRAME_PREFIX_BYTES } from './frame.ts';
import { lastNonZero } from './zeros.ts';

const SECTOR_BYTES = 512;
/** Fewer zeros than this at the edge of a sector may be chance. */
const MIN_ZERO_RUN_BYTES = 16;

/** `clean`: nothing is behind; `torn`: the rest of a commit that was never finished; `damaged`: anything else. */
export type TailVerdict =
  | { readonly verdict: 'clean' }
  | { readonly verdict: 'torn'; readonly bytes: number }
  | { readonly verdict: 'damaged'; readonly what: string };

/**
 * Judges the bytes of a segment from `stop`, where no whole record follows; `commitEnd` is where the last whole commit
 * ends (before `stop` if whole records of an unfinished one follow it).
 */
export async function judgeTail(file: OpenFile, commitEnd: number, stop: number): Promise<TailVerdict> {
  const rest = Buffer.alloc(Math.max(0, (await file.size()) - stop));
  await file.read(rest, stop);
  const written = lastNonZero(rest) + 1;
  if (written === 0) return stop > commitEnd ? { verdict: 'torn', bytes: stop - commitEnd } : { verdict: 'clean' };
  for (let at = FRAME_ALIGN_BYTES; at < written; at += FRAME_ALIGN_BYTES) {
    const frame = decodeFrame(rest, at, stop + at);
    if (frame !== undefined && frame.commitStart !== commitEnd) {
      return {
        verdict: 'damaged',
        what: `no whole record is there, but record ${frame.position}, written later, is whole`,
      };
    }
  }
  if (!lacksSectors(rest, written, stop)) {
    return { verdict: 'damaged', what: 'its checksum does not match, and it was written to its end' };
  }
  return { verdict: 'torn', bytes: stop + written - commitEnd };
}

/** Whether part of the frame at the start of `rest` was never written. */
function lacksSectors(rest: Buffer, written: number, offset: number): boolean {
  const size = claimedFrameSize(rest, 0);
  // No length: the first sector is missing, or only its first bytes were written.
  if (size === 0) return written < FRAME_ALIGN_BYTES || rest.readUInt32BE(0) === 0;
  // The last byte of a frame is not zero, but padding follows it.
  if (FRAME_PREFIX_BYTES + rest.readUInt32BE(0) > written) return true;
  for (let start = 0; start < size; ) {
    const end = Math.min(size, start + SECTOR_BYTES - ((offset + start) % SECTOR_BYTES));
    if (end - start >= MIN_ZERO_RUN_BYTES && isZero(rest, start, end)) return true;
    start = end;
  }
  return false;
}

function isZero(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false;
  return true;
}
