import { randomFillSync } from 'node:crypto';

const RECORD_ID_BYTES = 16;
/** Ids that are drawn at once: asking for random bytes costs the same for sixteen as for four thousand. */
const IDS_PER_DRAW = 256;

let pool = Buffer.alloc(0);
let used = 0;

/** 16 fresh random bytes for a record's id; they are the caller's. */
export function newRecordId(): Uint8Array {
  if (used === pool.length) {
    // A new pool each time: the ids of the last one are still in use.
    pool = randomFillSync(Buffer.allocUnsafeSlow(RECORD_ID_BYTES * IDS_PER_DRAW));
    used = 0;
  }
  used += RECORD_ID_BYTES;
  return pool.subarray(used - RECORD_ID_BYTES, used);
}
