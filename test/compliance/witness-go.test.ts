/** Checkpoints that witnesses cosigned, opened with Go's note package and its Ed25519. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signCheckpoint } from '#streams/transparency/checkpoint.ts';
import { newCosignerText, parseCosigner } from '#streams/transparency/cosignature.ts';
import { newSignerText, parseNote, parseSigner } from '#streams/transparency/note.ts';
import { formatSubmission, Witness } from '#streams/transparency/witness.ts';

const run = promisify(execFile);
const options = {
  cwd: path.join(import.meta.dirname, '..', 'transparency', 'go'),
  env: { ...process.env, GOTOOLCHAIN: 'local' },
};
const isAble = await run('go', ['mod', 'download'], options).then(
  () => true,
  () => false,
);
if (!isAble) console.warn("SKIPPED: the check of cosignatures with Go's note package needs Go and its modules");

const NOW_MS = 1_700_000_000_000;

describe.skipIf(!isAble)('cosignatures', () => {
  let folder: string;
  let checker: string;
  const signer = parseSigner(newSignerText('example.org/stele-log'));
  const cosigners = ['a', 'b'].map((name) => parseCosigner(newCosignerText(`witness.example/${name}`)));
  const note = signCheckpoint({ size: 7, root: Buffer.alloc(32, 7) }, signer);

  const check = async (text: string, keys: readonly string[]): Promise<string> => {
    const file = path.join(folder, 'checkpoint');
    await writeFile(file, text);
    return run(checker, ['cosigned', signer.verifier.text, file, ...keys]).then(
      ({ stdout }) => stdout,
      (error: { stderr: string }) => error.stderr,
    );
  };

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stele-witness-go-'));
    checker = path.join(folder, 'checklog');
    await run('go', ['build', '-o', checker, '.'], options);
  }, 300_000);
  afterAll(() => rm(folder, { recursive: true }));

  test('of two witnesses hold, and say when', async () => {
    let cosigned = note;
    for (const [index, cosigner] of cosigners.entries()) {
      const witness = new Witness({
        folder: path.join(folder, `w${index}`),
        cosigner,
        logs: [signer.verifier],
        clock: () => NOW_MS,
      });
      cosigned += (await witness.addCheckpoint(formatSubmission(0, [], note))).body;
    }
    const keys = cosigners.map(({ verifier }) => verifier.text);
    expect((await check(cosigned, keys)).split('\n')).toEqual([
      'cosigned 7 witness.example/a 1700000000',
      'cosigned 7 witness.example/b 1700000000',
      '',
    ]);
  });

  test('of another text, or by another key, do not', async () => {
    const [cosigner] = cosigners;
    if (cosigner === undefined) throw new Error('there is a witness');
    const ofAnother = cosigner.cosign(`${parseNote(note).text}more\n`, NOW_MS / 1000);
    expect(await check(note + ofAnother, [cosigner.verifier.text])).toContain('invalid signature');
    expect(await check(note, [cosigner.verifier.text])).toContain('no verifiable signatures');
  });
});
