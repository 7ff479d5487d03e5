// One installation at a time: `npm start` and `npm test` may both be the first.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';

const RETRY_MS = 200;
const LONGEST_WAIT_MS = 15 * 60_000;
/** A lock without a process id is one whose owner is about to write it, for this long. */
const UNWRITTEN_MS = 5_000;

/** Runs `work` while no other process does for the same checkout. Tells `onWait` once if it has to wait. */
export function withSetupLock(root, work, onWait) {
  const key = createHash('sha256').update(root).digest('hex').slice(0, 16);
  const file = `${tmpdir()}/stele-setup-${key}.lock`;
  const deadline = Date.now() + LONGEST_WAIT_MS;
  let hasToldSo = false;
  while (!tryTake(file)) {
    if (isLeftOver(file)) {
      rmSync(file, { force: true });
      continue;
    }
    if (Date.now() > deadline) throw new Error(`Another installation does not end. If there is none, remove ${file}`);
    if (!hasToldSo) onWait();
    hasToldSo = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
  }
  try {
    return work();
  } finally {
    rmSync(file, { force: true });
  }
}

function tryTake(file) {
  try {
    const lock = openSync(file, 'wx');
    writeSync(lock, String(process.pid));
    closeSync(lock);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isLeftOver(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    if (pid > 0) {
      process.kill(pid, 0);
      return false;
    }
    return Date.now() - statSync(file).mtimeMs > UNWRITTEN_MS;
  } catch (error) {
    // ESRCH: its owner is gone. ENOENT: it was given back meanwhile. EPERM: somebody else's process, so alive.
    return error.code === 'ESRCH';
  }
}
