#!/usr/bin/env node
// The `stele` command: hands over to ops/cli/main.ts under a Node that can run it.
import { findNode, ROOT, runNode } from './node.mjs';

const main = `${ROOT}ops/cli/main.ts`;
try {
  if (findNode() === process.execPath) await import(main);
  else runNode([main, ...process.argv.slice(2)]);
} catch (error) {
  process.stderr.write(`stele: ${error.message}\n`);
  process.exit(1);
}
