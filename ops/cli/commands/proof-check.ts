import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { checkProof, ProofRejected, parseProof } from '#streams/transparency/proof.ts';
import { provenData, provenLines } from '../../proof/describe-proof.ts';
import { defineCommand, FINDING, SUCCESS } from '../command.ts';

/** `stele proof check` */
export const command = defineCommand({
  name: 'proof check',
  summary: 'Check a proof, offline',
  usage: 'FILE | -',
  description: `
Checks a document of 'stele proof' or 'stele proof consistency'; - reads it from standard input. It needs neither the server
nor its configuration. Give the log's public key as you got it from a source you trust: the document's own key proves only
that the document fits together. Exit status 1 if it proves nothing.`,
  examples: ["proof check proof.json --key 'example.org+1a2b3c4d+AQ…'"],
  options: {
    key: { type: 'string', value: 'KEY', description: 'The public key that the log must be signed with' },
  },
  positionals: { min: 1, max: 1 },
  usesConfig: false,
  printsData: true,
  run: async ({ options, positionals, json, print, say }) => {
    const [file = ''] = positionals;
    const document = file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
    try {
      const proven = checkProof(parseProof(document), options.key === undefined ? {} : { trustedKey: options.key });
      const data = provenData(proven, options.key !== undefined);
      if (json) print(JSON.stringify(data));
      else for (const line of provenLines(data)) print(line);
      return SUCCESS;
    } catch (error) {
      if (!(error instanceof ProofRejected)) throw error;
      if (json) print(JSON.stringify({ ok: false, flaw: error.flaw, message: error.message }));
      else say(`Not proven (${error.flaw}): ${error.message}`);
      return FINDING;
    }
  },
});
