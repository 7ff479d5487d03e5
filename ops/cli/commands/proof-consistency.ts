import { readFile } from 'node:fs/promises';
import { dataPaths } from '#src/data-paths.ts';
import { makeConsistencyProof } from '#streams/transparency/make-proof.ts';
import { readPublicKey } from '#streams/transparency/signing-key.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { defineCommand, SUCCESS } from '../command.ts';

/** `stele proof consistency` */
export const command = defineCommand({
  name: 'proof consistency',
  summary: 'Prove that the log continues an older checkpoint',
  usage: 'OLD_CHECKPOINT_FILE',
  description: `
Prints a JSON document that shows the published log to hold everything that the older checkpoint spoke of, unchanged and in
the same order; for 'stele proof check' or any RFC 6962 implementation. Works while the server runs.`,
  examples: ['proof consistency checkpoint-of-last-year > proof.json'],
  options: {},
  positionals: { min: 1, max: 1 },
  printsData: 'json',
  run: async ({ positionals, loadConfig, print }) => {
    const [file = ''] = positionals;
    const older = await readFile(file, 'utf8');
    const paths = dataPaths((await loadConfig()).data_dir);
    const log = { files: new TileFiles(paths.transparency), verifier: await readPublicKey(paths.logSigningKey) };
    print(JSON.stringify(await makeConsistencyProof(log, older), undefined, 2));
    return SUCCESS;
  },
});
