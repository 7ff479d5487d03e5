// run.mjs PROGRAM [ARGUMENT…]: runs a Node program with the right Node. PROGRAM is `node` (the next argument is a script)
// or the name of a tool in node_modules.
import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT, runNode } from './node.mjs';

const [program, ...args] = process.argv.slice(2);
if (program === undefined) {
  process.stderr.write('usage: run.mjs node SCRIPT [ARGUMENT…] | run.mjs TOOL [ARGUMENT…]\n');
  process.exit(2);
}
if (program === 'node') {
  runNode(args);
} else {
  const manifestPath = `${ROOT}node_modules/${program}/package.json`;
  const { bin } = createRequire(import.meta.url)(manifestPath);
  const script = typeof bin === 'string' ? bin : bin[program];
  runNode([path.join(path.dirname(manifestPath), script), ...args]);
}
