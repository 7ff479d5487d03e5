/** A thread that hashes byte strings of given lengths for a while: the ceiling that verification is held against. */
import { hash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

/** What a thread is to hash: for each record, byte strings of these lengths. */
export interface BareHashTask {
  readonly lengths: readonly number[];
  readonly records: number;
}

const { lengths, records } = workerData as BareHashTask;
const inputs = lengths.map((length) => Buffer.alloc(length, 7));
const digest = Buffer.alloc(32);
for (let record = 0; record < records; record++) {
  for (const input of inputs) digest.write(hash('sha256', input, 'binary'), 0, 32, 'latin1');
}
parentPort?.postMessage(digest);
