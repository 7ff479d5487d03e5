// Finds the Node that runs Stele: this one if it is new enough, else the one that npm brought along.
// Runs on every Node since 20, so it is plain JavaScript.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The first Node whose type stripping and APIs Stele relies on. */
const MIN_NODE_MAJOR = 24;

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Path of a Node that is new enough; throws with advice if there is none. */
export function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= MIN_NODE_MAJOR) return process.execPath;
  const brought = `${ROOT}node_modules/node-linux-${process.arch}/bin/node`;
  if (process.platform === 'linux' && existsSync(brought)) return brought;
  throw new Error(
    `Stele needs Node ${MIN_NODE_MAJOR} or newer; this is ${process.version} on ${process.platform}-${process.arch}, ` +
      'and npm brought none. Run `npm ci`, or install Node 24 LTS.',
  );
}

/**
 * Where Node keeps compiled code between runs, types already taken out of it: a server then starts in half the time, and
 * needs some 25 MiB less, since the compiler is not loaded. Goes away with node_modules.
 */
export const COMPILE_CACHE = `${ROOT}node_modules/.cache/compiled`;

/**
 * How Node is to run a server. What is new is collected in a space of twice these MiB, not of 64: most of what a request leaves
 * behind lives shorter than either, so this costs no time, and 20 MiB less when idle, 150 under load.
 */
export const SERVER_FLAGS = ['--max-semi-space-size=8'];

/**
 * Runs Node with these arguments in the foreground; signals pass through, the exit status is the child's.
 * `env` is laid over the environment, under what is set there already.
 */
export function runNode(args, env = {}) {
  const child = spawn(findNode(), args, {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...env, ...process.env },
  });
  const passOn = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, passOn);
  child.on('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}
