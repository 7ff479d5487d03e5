// Installs what package-lock.json says, when it is not there yet: `npm start` and `npm test` work on a fresh checkout.
// Uses only what Node has built in. `setup.mjs` installs everything, `setup.mjs --runtime` leaves out what only
// development needs.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ROOT } from './node.mjs';

const MARK = `${ROOT}node_modules/.stele-setup`;
const wanted = process.argv.includes('--runtime') ? 'runtime' : 'all';
const lock = createHash('sha256')
  .update(readFileSync(`${ROOT}package-lock.json`))
  .digest('hex');

const mark = existsSync(MARK) ? readFileSync(MARK, 'utf8').trim() : '';
const isInstalled = mark === `${lock} all` || (wanted === 'runtime' && mark === `${lock} runtime`);

if (!isInstalled) {
  process.stderr.write('Installing packages (once)…\n');
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  if (wanted === 'runtime') args.push('--omit=dev');
  // npm's own words go to stderr, so that a command's data on stdout stays clean.
  const npm = process.env.npm_execpath;
  const stdio = ['ignore', 2, 2];
  const result = npm
    ? spawnSync(process.execPath, [npm, ...args], { cwd: ROOT, stdio })
    : spawnSync('npm', args, { cwd: ROOT, stdio });
  if (result.error || result.status !== 0) {
    process.stderr.write(
      `npm ci failed${result.error ? `: ${result.error.message}` : ''}. Is the network reachable?\n`,
    );
    process.exit(1);
  }
  writeFileSync(MARK, `${lock} ${wanted}\n`);
}
