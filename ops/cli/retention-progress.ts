/** Questions for which the server goes through its whole log, with a bar that shows how far it has come. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '#src/config/schema.ts';
import { type AskServer, WHOLE_LOG_TIMEOUT_MS, withServer } from './operator-request.ts';
import { type ProgressOptions, startProgress } from './progress.ts';

/** How often the server is asked how far it is. */
const POLL_INTERVAL_MS = 250;

/** Asks, and shows progress on standard error until there is an answer. @throws {OperatorRefusal} */
export function askWithProgress<Answer extends object>(
  config: Config,
  path: string,
  body: object,
  label: string,
): Promise<Answer> {
  return withServer(config, (ask) => withProgress(ask, { label }, () => ask<Answer>(path, body, WHOLE_LOG_TIMEOUT_MS)));
}

/** Shows how far the server has come with a plan or a run of retention while the work goes on. */
export async function withProgress<Answer>(
  ask: AskServer,
  display: Pick<ProgressOptions, 'label' | 'output' | 'now'>,
  work: () => Promise<Answer>,
  intervalMs = POLL_INTERVAL_MS,
): Promise<Answer> {
  const progress = startProgress({ unit: 'records', ...display });
  const done = new AbortController();
  const watching = watch(ask, (at, total) => progress.update(at, total), intervalMs, done.signal);
  try {
    return await work();
  } finally {
    done.abort();
    await watching;
    progress.finish();
  }
}

async function watch(
  ask: AskServer,
  onProgress: (done: number, total: number) => void,
  intervalMs: number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    // The work itself says what is wrong; a bar that stands still says nothing.
    const at = await ask<{ readonly done?: number; readonly total?: number }>(
      '/_stele/operator/retention/progress',
      {},
    ).catch(() => undefined);
    if (at?.done !== undefined && at.total !== undefined) onProgress(at.done, at.total);
  }
}
