/** The thread of read-ahead.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { Damaged } from '../event-log.ts';
import { openIntoBatch } from './opened-batch.ts';
import { BATCHES_AHEAD, type ReadAheadMessage, type ReadAheadTask } from './read-ahead.ts';
import { scanLayout } from './scan-log.ts';

const port = parentPort;
if (port === null) throw new Error('this module runs in a worker');

let free = BATCHES_AHEAD;
let wake: () => void = () => undefined;
port.on('message', () => {
  free += 1;
  wake();
});

function say(message: ReadAheadMessage): void {
  port?.postMessage(message, message instanceof Uint8Array ? [message.buffer as ArrayBuffer] : []);
}

const { layout, from, to } = workerData as ReadAheadTask;
try {
  await scanLayout(layout, from, to, async (stored, keys) => {
    while (free === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    free -= 1;
    say(await openIntoBatch(stored, keys));
  });
  say('end');
} catch (error) {
  const text = error instanceof Error ? error.message : String(error);
  say(error instanceof Damaged ? { damaged: text } : { failed: text });
}
port.close();
