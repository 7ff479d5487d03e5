/** Looking for where zeros begin, in what is preallocated. */

/** Compared at once, natively: a byte at a time takes milliseconds for a megabyte. */
const BLOCK_BYTES = 4096;
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/** Place of the last byte that is not zero, or -1. */
export function lastNonZero(bytes: Buffer): number {
  let end = bytes.length;
  while (end >= BLOCK_BYTES && bytes.compare(ZERO_BLOCK, 0, BLOCK_BYTES, end - BLOCK_BYTES, end) === 0)
    end -= BLOCK_BYTES;
  for (let at = end - 1; at >= 0; at--) if (bytes[at] !== 0) return at;
  return -1;
}
