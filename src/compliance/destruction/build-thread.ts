import { Worker } from 'node:worker_threads';
import type { BuildAhead } from '#projections/engine/renewal.ts';
import type { BuildOrder } from './build-worker.ts';

/** Builds tables in a thread of their own, from the log in a folder. */
export function buildInThread(logFolder: string): BuildAhead {
  return (path, signal) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./build-worker.ts', import.meta.url), {
        workerData: { path, logFolder } satisfies BuildOrder,
      });
      const stop = (): void => void worker.terminate();
      if (signal?.aborted) stop();
      signal?.addEventListener('abort', stop, { once: true });
      worker.on('error', reject);
      worker.on('exit', (code) => {
        signal?.removeEventListener('abort', stop);
        if (code === 0) resolve();
        else reject(new Error(`the thread that builds tables ended with status ${code}`));
      });
    });
}
