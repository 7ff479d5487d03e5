/** What Stele publishes, checked by an implementation that nobody here wrote: Go's checksum database packages. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawRecord } from '#streams/raw-log.ts';
import { encodeHeader, leafHash } from '#streams/record-format.ts';
import { newKeys, sealSection } from '#streams/sealing.ts';
import { originOf } from '#streams/transparency/checkpoint.ts';
import { makeConsistencyProof, makeInclusionProof, type PublishedLog } from '#streams/transparency/make-proof.ts';
import { openSigningKey } from '#streams/transparency/signing-key.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';

interface Outcome {
  readonly status: number;
  readonly output: string;
}

function run(command: string, args: readonly string[], input = '', cwd?: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, GOTOOLCHAIN: 'local' } });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', (error) => resolve({ status: -1, output: error.message }));
    child.on('close', (status) => resolve({ status: status ?? -1, output: Buffer.concat(chunks).toString() }));
    // A checker that has seen enough closes its input; its status says what it saw.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

const goFolder = join(import.meta.dirname, 'go');
const folder = await mkdtemp(join(tmpdir(), 'stele-go-'));
const modules = await run('go', ['mod', 'download'], '', goFolder);
const isAble = modules.status === 0;
if (!isAble) {
  console.warn(
    `SKIPPED: the check with Go's tlog and note packages needs Go and its modules: ${modules.output.trim()}`,
  );
}

const checker = join(folder, 'checklog');
const tlog = join(folder, 'tlog');
const SIZES = [1, 255, 256, 257, 3000, 5123];

const records: RawRecord[] = [];
const keys: Buffer[] = [];
const olderCheckpoints: string[] = [];
let log: PublishedLog;
let tree: TransparencyLog;

function grow(to: number): Buffer[] {
  const from = records.length;
  for (let position = from; position < to; position++) {
    const id = Buffer.alloc(16);
    id.writeUInt32BE(position);
    const key = newKeys(1);
    keys.push(key);
    const sealedSections = [sealSection(Buffer.from(`text ${position}`), id, 0, key)];
    const stream = `room-${position % 7}`;
    const fields = { stream, revision: position, kind: 'pdu', version: 1, recordedAtMs: 1.7e12 + position, id };
    const header = encodeHeader({ ...fields, sectionCount: sealedSections.length });
    records.push({ position, header, sealedSections, leaf: leafHash(header, sealedSections) });
  }
  return records.slice(from).map(({ leaf }) => leaf);
}

describe.skipIf(!isAble)("Go's tlog and note packages", () => {
  beforeAll(async () => {
    const built = await run('go', ['build', '-o', checker, '.'], '', goFolder);
    expect(built).toEqual({ status: 0, output: '' });
    const signer = await openSigningKey({
      keyFile: join(folder, 'key'),
      origin: originOf('localhost:8448'),
      folder: tlog,
    });
    const leaves = {
      size: () => records.length,
      async *readLeaves(index: number) {
        yield records.slice(index).map(({ leaf }) => leaf);
      },
    };
    tree = await TransparencyLog.open({ folder: tlog, signer, leaves });
    for (const size of SIZES) {
      tree.add(grow(size));
      await tree.publish();
      const file = join(folder, `checkpoint-${size}`);
      await writeFile(file, tree.checkpoint() ?? '');
      olderCheckpoints.push(file);
    }
    log = { files: new TileFiles(tlog), verifier: signer.verifier };
  }, 300_000);

  afterAll(async () => {
    await tree.close();
    await rm(folder, { recursive: true });
  });

  test('open the checkpoint, read the tiles and find every leaf in its place', async () => {
    const lines = records.map(({ leaf }, index) => `${index} ${leaf.toString('hex')}\n`).join('');
    const { status, output } = await run(checker, ['tiles', tlog, tree.verifierKey, ...olderCheckpoints], lines);
    expect(output.split('\n')).toEqual([
      expect.stringMatching(/^head 5123 /),
      ...SIZES.map((size) => `continues ${size}`),
      'leaves 5123',
      expect.stringMatching(/^tiles 2\d$/),
      '',
    ]);
    expect(status).toBe(0);
  });

  test('turn down a leaf that is not there', async () => {
    const line = `7 ${records[8]?.leaf.toString('hex')}\n`;
    const { status, output } = await run(checker, ['tiles', tlog, tree.verifierKey], line);
    expect(output).toContain('leaf 7');
    expect(status).toBe(1);
  });

  test('turn down a checkpoint with another key', async () => {
    const other = await openSigningKey({ keyFile: join(folder, 'other'), origin: originOf('localhost:8448'), folder });
    const { status, output } = await run(checker, ['tiles', tlog, other.verifier.text]);
    expect(output).toContain('note has no verifiable signatures');
    expect(status).toBe(1);
  });

  test('accept the proof documents', async () => {
    const files: string[] = [];
    const write = async (document: unknown) => {
      files.push(join(folder, `proof-${files.length}.json`));
      await writeFile(files.at(-1) ?? '', JSON.stringify(document));
    };
    for (const leafIndex of [0, 255, 256, 4095, 5122]) {
      const record = records[leafIndex] as RawRecord;
      const revealedKeys = leafIndex % 2 === 0 ? [keys[leafIndex]] : [];
      await write(await makeInclusionProof(log, { record, leafIndex, revealedKeys }));
    }
    for (const older of olderCheckpoints.slice(0, -1)) {
      await write(await makeConsistencyProof(log, await readFile(older, 'utf8')));
    }
    const { status, output } = await run(checker, ['proof', tree.verifierKey, ...files]);
    expect(output.trim().split('\n')).toEqual([
      ...[0, 255, 256, 4095, 5122].map((index) => `included ${index} of 5123`),
      ...SIZES.slice(0, -1).map((size) => `consistent ${size} of 5123`),
    ]);
    expect(status).toBe(0);
  });
});
