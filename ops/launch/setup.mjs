// Installs what package-lock.json says, when it is not there yet: `npm start` and `npm test` work on a fresh checkout.
// Uses only what Node has built in. `setup.mjs` installs everything, `setup.mjs --runtime` leaves out what only
// development needs.
import { spawnSync } from 'node:child_process';
import { isInstalled } from './installed.mjs';
import { ROOT } from './node.mjs';
import { withSetupLock } from './setup-lock.mjs';

const withDev = !process.argv.includes('--runtime');
const say = (line) => process.stderr.write(`${line}\n`);

/** Runs npm; its words are shown only if it fails. Returns whether it succeeded. */
function install() {
  say('Installing packages (only this once)…');
  // What a running server uses stays in place while the rest is added; otherwise node_modules is made anew.
  const isAddition = withDev && isInstalled(ROOT, false);
  const args = isAddition
    ? ['install', '--no-save', '--include=dev']
    : ['ci', withDev ? '--include=dev' : '--omit=dev'];
  args.push('--include=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error');
  const npm = process.env.npm_execpath;
  const [program, first] = npm ? [process.execPath, [npm]] : ['npm', []];
  const result = spawnSync(program, [...first, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status === 0) return true;
  say(`${result.stdout ?? ''}${result.stderr ?? ''}`.trim());
  say(`npm ${args[0]} failed${result.error ? `: ${result.error.message}` : ''}. Is the network reachable?`);
  return false;
}

if (!isInstalled(ROOT, withDev)) {
  const isDone = withSetupLock(
    ROOT,
    // Whoever had the lock before may have installed it.
    () => isInstalled(ROOT, withDev) || install(),
    () => say('Waiting for another installation to end…'),
  );
  process.exit(isDone ? 0 : 1);
}
