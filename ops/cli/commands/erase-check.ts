import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CertificateRejected, readCertificate } from '#src/compliance/certificate.ts';
import { dataPaths } from '#src/data-paths.ts';
import { type NoteVerifier, parseVerifier } from '#streams/transparency/note.ts';
import { readPublicKey } from '#streams/transparency/signing-key.ts';
import { defineCommand, FINDING, SUCCESS } from '../command.ts';

/** `stele erase check DIR` */
export const command = defineCommand({
  name: 'erase check',
  summary: 'Check a certificate of erasure: offline, without a server',
  usage: 'DIR',
  description: `
Checks that certificate.txt in DIR is signed with the log's key, that it is of certificate.json beside it, and that the heads of the log
that it names were signed with the same key. That the log still is what these heads say, 'stele verify --checkpoint' shows.

Give the key that you got from the server's operator at another time, as 'stele proof' prints it. Without --key the one of the
configured data folder is taken.`,
  examples: ['erase check ./certificate --key "$(curl -s https://matrix.example.org/_stele/log/key)"'],
  options: {
    key: { type: 'string', value: 'KEY', description: 'The public key that it must be signed with' },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [folder = ''], loadConfig, json, print, say }) => {
    const verifier: NoteVerifier =
      options.key === undefined
        ? await readPublicKey(dataPaths((await loadConfig()).data_dir).logSigningKey)
        : parseVerifier(options.key);
    const document = await readFile(path.join(folder, 'certificate.json'), 'utf8');
    const note = await readFile(path.join(folder, 'certificate.txt'), 'utf8');
    try {
      const certificate = readCertificate({ document, note }, verifier);
      if (json) print(JSON.stringify({ ok: true, ...certificate }));
      else print(note.slice(0, note.indexOf('\n\n')));
      return SUCCESS;
    } catch (error) {
      if (!(error instanceof CertificateRejected)) throw error;
      if (json) print(JSON.stringify({ ok: false, message: error.message }));
      else say(`Not proven: ${error.message}`);
      return FINDING;
    }
  },
});
