/** A thread that verifies runs of records; see worker-pool.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { openLayout } from '#streams/embedded/scan-log.ts';
import type { ScannableLog } from '#streams/raw-log.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { type ChunkRequest, verifyChunk } from './verify-chunk.ts';
import type { WorkerAnswer, WorkerMessage, WorkerTask } from './worker-pool.ts';

const task = workerData as WorkerTask;
const port = parentPort;
if (port === null) throw new Error('this module runs in a worker');

const files = new TileFiles(task.transparencyFolder);
const checkContent = task.checksContent ? (await import('./pdu-check.ts')).checkPduRecord : undefined;
let log: Promise<ScannableLog> | undefined;

port.on('message', async (message: WorkerMessage) => {
  if ('segments' in message) {
    log = openLayout(message, { withKeys: task.opens });
    // Whoever gives a run is told of the failure.
    log.catch(() => undefined);
  } else {
    port.postMessage(await answer(message));
  }
});

async function answer(request: ChunkRequest): Promise<WorkerAnswer> {
  try {
    if (log === undefined) throw new Error('a run was given before the log');
    return { from: request.from, result: await verifyChunk(await log, files, request, checkContent) };
  } catch (error) {
    return { from: request.from, error };
  }
}
