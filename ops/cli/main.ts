/** The `stele` command as a process: its signals, its exit status. */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// Before anything else is loaded, and in the same folder as the launcher (ops/launch/node.mjs) says. Not in the machine's folder for
// temporary files, which is Node's default: somebody else could put code there for us to run.
enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url)));
// Before our own modules, too: it says where they are.
await import('../launch/own-modules.mjs');
const { processSurroundings, runCommandLine } = await import('./run-command-line.ts');

/**
 * A signal within this time of the first is the same one come twice: a terminal sends it to the launcher and to us, and
 * the launcher passes it on.
 */
const SAME_SIGNAL_MS = 1_000;
/** What shells add to a signal's number when it ends a process. */
const SIGNAL_STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

const stopper = new AbortController();
let firstSignalMs: number | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    const nowMs = performance.now();
    if (firstSignalMs === undefined) {
      firstSignalMs = nowMs;
      stopper.abort();
    } else if (nowMs - firstSignalMs > SAME_SIGNAL_MS) {
      process.exit(SIGNAL_STATUS[signal]);
    }
  });
}
// Whoever reads our output may stop reading: `stele config explain | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exit(await runCommandLine(process.argv.slice(2), processSurroundings(stopper.signal)));
