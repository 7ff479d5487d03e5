#!/usr/bin/env node
// The `stele` command: hands over to ops/cli/main.ts under a Node that can run it.
import * as module from 'node:module';
import { COMPILE_CACHE, findNode, ROOT, runNode } from './node.mjs';

const main = `${ROOT}ops/cli/main.ts`;
try {
  if (findNode() === process.execPath) {
    if (process.env.NODE_COMPILE_CACHE === undefined) module.enableCompileCache(COMPILE_CACHE);
    await import(main);
  } else {
    runNode([main, ...process.argv.slice(2)], { NODE_COMPILE_CACHE: COMPILE_CACHE });
  }
} catch (error) {
  process.stderr.write(`stele: ${error.message}\n`);
  process.exit(1);
}
