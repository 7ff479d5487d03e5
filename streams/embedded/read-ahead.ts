/**
 * Reading and opening many records in a thread of its own, ahead of whoever takes them: opening costs a third as much as what
 * projections do with a record, and then comes for nothing where there is a second processor.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Damaged, type LogRecord, type Position } from '../event-log.ts';
import type { LogLayout } from '../raw-log.ts';
import { readBatch } from './opened-batch.ts';

/** Records from which on a thread is worth its start. */
const MIN_RECORDS = 20_000;
/** Batches that lie ready, half a megabyte each. */
export const BATCHES_AHEAD = 8;

/** What the thread is started with: the records after `from` up to `to`. */
export interface ReadAheadTask {
  readonly layout: LogLayout;
  readonly from: Position;
  readonly to: Position;
}

/** What the thread says: a batch (see opened-batch.ts), that there are no more, or why it cannot go on. */
export type ReadAheadMessage = Uint8Array | 'end' | { readonly damaged: string } | { readonly failed: string };

/** Whether so many records are better read ahead. */
export function isWorthReadingAhead(records: number): boolean {
  return records >= MIN_RECORDS && availableParallelism() > 1;
}

/** The opened records after `from` up to `to`, in batches. Throws Damaged, or what keeps the thread from working. */
export async function* readAhead(task: ReadAheadTask): AsyncGenerator<readonly LogRecord[]> {
  const worker = new Worker(new URL('./read-ahead-worker.ts', import.meta.url), { workerData: task });
  const messages: ReadAheadMessage[] = [];
  let failure: unknown;
  let wake: () => void = () => undefined;
  worker.on('message', (message: ReadAheadMessage) => {
    messages.push(message);
    wake();
  });
  const fail = (error: unknown): void => {
    failure ??= error;
    wake();
  };
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('the thread that reads the log ended early')));
  try {
    for (;;) {
      const message = messages.shift();
      if (message === undefined) {
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (message instanceof Uint8Array) {
        // It may read another one.
        worker.postMessage(null);
        yield readBatch(Buffer.from(message.buffer, message.byteOffset, message.byteLength));
      } else if (message === 'end') {
        return;
      } else {
        throw 'damaged' in message ? new Damaged(message.damaged) : new Error(message.failed);
      }
    }
  } finally {
    await worker.terminate();
  }
}
