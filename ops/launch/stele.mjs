#!/usr/bin/env node
// The `stele` command: hands over to ops/cli/main.ts under a Node that can run it.
import * as module from 'node:module';
import { COMPILE_CACHE, findNode, ROOT, runNode, SERVER_FLAGS } from './node.mjs';

const main = `${ROOT}ops/cli/main.ts`;
const args = process.argv.slice(2);
const flags = args[0] === 'serve' ? SERVER_FLAGS : [];
try {
  if (findNode() === process.execPath) {
    const missing = flags.filter((flag) => !process.execArgv.includes(flag));
    // Memory is laid out before the first line runs: the flags are for a Node that takes the place of this one.
    if (missing.length > 0 && process.execve !== undefined) {
      process.execve(
        process.execPath,
        [process.execPath, ...process.execArgv, ...missing, ...process.argv.slice(1)],
        process.env,
      );
    }
    if (process.env.NODE_COMPILE_CACHE === undefined) module.enableCompileCache(COMPILE_CACHE);
    await import(main);
  } else {
    runNode([...flags, main, ...args], { NODE_COMPILE_CACHE: COMPILE_CACHE });
  }
} catch (error) {
  process.stderr.write(`stele: ${error.message}\n`);
  process.exit(1);
}
