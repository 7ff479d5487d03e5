/** Turns the conditions of a range into the bytes between which its keys lie. */
import { type KeyCodec, type KeyPrefix, MAX_KEY_BYTES } from './keys.ts';
import type { RangeOptions } from './table.ts';

/** Keys from `lower` (inclusive) to `upper` (exclusive); undefined where there is no limit. */
export interface Bounds {
  lower: Buffer | undefined;
  upper: Buffer | undefined;
}

/** A key of the greatest length and its successor fit. */
const SCRATCH_BYTES = MAX_KEY_BYTES * 2;
const scratch = Buffer.alloc(SCRATCH_BYTES);

/** The bounds of a range, or undefined when no key can lie in it. */
export function boundsOf<K extends readonly unknown[]>(
  codec: KeyCodec<K>,
  options: RangeOptions<K>,
): Bounds | undefined {
  const { prefix, gte, gt, lt, lte } = options;
  const bounds: Bounds = { lower: undefined, upper: undefined };
  if (prefix !== undefined && prefix.length > 0) {
    bounds.lower = encoded(codec, prefix);
    bounds.upper = successor(codec, prefix);
  }
  if (gte !== undefined) raise(bounds, encoded(codec, gte));
  if (gt !== undefined) {
    const after = successor(codec, gt);
    if (after === undefined) return undefined;
    raise(bounds, after);
  }
  if (lt !== undefined) lower(bounds, encoded(codec, lt));
  if (lte !== undefined) lower(bounds, successor(codec, lte));
  const { lower: first, upper: end } = bounds;
  if (end !== undefined && (end.length === 0 || (first !== undefined && first.compare(end) >= 0))) return undefined;
  if (first?.length === 0) bounds.lower = undefined;
  return bounds;
}

/** The bytes of a key or of its leading parts. */
export function encoded<K extends readonly unknown[]>(codec: KeyCodec<K>, key: KeyPrefix<K>): Buffer {
  return Buffer.copyBytesFrom(scratch, 0, codec.write(key, scratch, 0));
}

/** The first bytes after every key that begins with these parts; undefined if there are none. */
function successor<K extends readonly unknown[]>(codec: KeyCodec<K>, key: KeyPrefix<K>): Buffer | undefined {
  const end = codec.write(key, scratch, 0);
  if (key.length === codec.parts.length && codec.parts.at(-1)?.isOpenEnded === true) {
    scratch[end] = 0;
    return Buffer.copyBytesFrom(scratch, 0, end + 1);
  }
  for (let at = end - 1; at >= 0; at--) {
    const byte = scratch[at] as number;
    if (byte === 0xff) continue;
    scratch[at] = byte + 1;
    return Buffer.copyBytesFrom(scratch, 0, at + 1);
  }
  return undefined;
}

function raise(bounds: Bounds, bytes: Buffer): void {
  if (bounds.lower === undefined || bounds.lower.compare(bytes) < 0) bounds.lower = bytes;
}

function lower(bounds: Bounds, bytes: Buffer | undefined): void {
  if (bytes !== undefined && (bounds.upper === undefined || bounds.upper.compare(bytes) > 0)) bounds.upper = bytes;
}
