/** A thread that verifies runs of records; see worker-pool.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { openLogReadOnly } from '#streams/open-log.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { type ChunkRequest, verifyChunk } from './verify-chunk.ts';
import type { WorkerAnswer, WorkerTask } from './worker-pool.ts';

const task = workerData as WorkerTask;
const port = parentPort;
if (port === null) throw new Error('this module runs in a worker');

// Damage at the end is told once, by who started the workers.
const log = await openLogReadOnly({ folder: task.logFolder, withKeys: task.opens, onDamage: () => undefined });
const files = new TileFiles(task.transparencyFolder);
const checkContent = task.checksContent ? (await import('./pdu-check.ts')).checkPduRecord : undefined;

// Runs are given two at a time: while one waits for the disk, the other computes.
port.on('message', async (request: ChunkRequest) => port.postMessage(await answer(request)));

async function answer(request: ChunkRequest): Promise<WorkerAnswer> {
  try {
    return { from: request.from, result: await verifyChunk(log, files, request, checkContent) };
  } catch (error) {
    return { from: request.from, error };
  }
}
