/** Makes exports for the server, each in a process of its own: what it takes of memory and time is nothing that requests wait for. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Config } from '#src/config/schema.ts';
import type { Exporter, ExportProgress, ExportSummary } from '#src/exports/exporter.ts';
import type { ProcessOrder } from './export-process.ts';

/** Characters of what the process complained of that are told. */
const MAX_COMPLAINT = 2_000;

/** What the process says. */
export type FromProcess =
  | { readonly kind: 'progress'; readonly progress: ExportProgress }
  | { readonly kind: 'done'; readonly summary: ExportSummary }
  | { readonly kind: 'refused'; readonly why: string };

/** Makes exports of the data folder of a configuration. */
export function exportInProcess({
  data_dir: dataDir,
  server_name: serverName,
}: Pick<Config, 'data_dir' | 'server_name'>): Exporter {
  return async (order, { onProgress, signal }) => {
    signal.throwIfAborted();
    const child = fork(new URL('./export-process.ts', import.meta.url), {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let outcome: FromProcess | undefined;
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-MAX_COMPLAINT);
    });
    child.on('message', (message: FromProcess) => {
      if (message.kind === 'progress') onProgress(message.progress);
      else outcome = message;
    });
    const stop = (): void => void child.kill();
    signal.addEventListener('abort', stop, { once: true });
    try {
      const ended = once(child, 'close');
      child.send({ ...order, dataDir, serverName } satisfies ProcessOrder);
      await ended;
    } finally {
      signal.removeEventListener('abort', stop);
    }
    signal.throwIfAborted();
    if (outcome?.kind === 'done') return outcome.summary;
    if (outcome?.kind === 'refused') throw new Error(outcome.why);
    throw new Error(`the process that makes the export ended: ${complaint.trim() || 'it said nothing'}`);
  };
}
