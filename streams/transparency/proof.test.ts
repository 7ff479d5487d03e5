import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawRecord } from '../raw-log.ts';
import { encodeHeader, leafHash } from '../record-format.ts';
import { newKeys, sealSection } from '../sealing.ts';
import { originOf } from './checkpoint.ts';
import { makeConsistencyProof, makeInclusionProof, type PublishedLog } from './make-proof.ts';
import { type NoteSigner, newSignerText, parseSigner } from './note.ts';
import { type ConsistencyProof, checkProof, type InclusionProof, parseProof } from './proof.ts';
import { TileFiles } from './tile-files.ts';
import { TransparencyLog } from './transparency-log.ts';

const RECORDS = 700;

let folder: string;
let signer: NoteSigner;
let log: PublishedLog;
let tree: TransparencyLog;
const records: RawRecord[] = [];
const keys: Buffer[][] = [];
let oldCheckpoint: string;

function grow(count: number): Buffer[] {
  const from = records.length;
  for (let position = from; position < from + count; position++) {
    const id = Buffer.alloc(16, position % 251);
    const recordKeys = newKeys(2);
    const sealedSections = [0, 1].map((i) =>
      sealSection(Buffer.from(`section ${i} of ${position}`), id, i, recordKeys),
    );
    const header = encodeHeader({
      stream: 'room-abc',
      revision: position,
      kind: 'pdu',
      version: 1,
      recordedAtMs: 1_700_000_000_000 + position,
      id,
      sectionCount: 2,
    });
    records.push({ position, header, sealedSections, leaf: leafHash(header, sealedSections) });
    keys.push([recordKeys.subarray(0, 32), recordKeys.subarray(32)]);
  }
  return records.slice(from).map(({ leaf }) => leaf);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stele-proof-'));
  signer = parseSigner(newSignerText(originOf('example.org')));
  log = { files: new TileFiles(folder), verifier: signer.verifier };
  tree = await TransparencyLog.open({
    folder,
    signer,
    leaves: {
      size: () => records.length,
      async *readLeaves(index) {
        yield records.slice(index).map(({ leaf }) => leaf);
      },
    },
  });
  tree.add(grow(300));
  await tree.publish();
  oldCheckpoint = tree.checkpoint() ?? '';
  tree.add(grow(RECORDS - 300));
  await tree.publish();
});
afterAll(async () => {
  await tree.close();
  await rm(folder, { recursive: true });
});

function prove(leafIndex: number, revealed: readonly number[] = []): Promise<InclusionProof> {
  const revealedKeys = [0, 1].map((i) => (revealed.includes(i) ? keys[leafIndex]?.[i] : undefined));
  return makeInclusionProof(log, { record: records[leafIndex] as RawRecord, leafIndex, revealedKeys });
}

/** The document as another machine gets it. */
const carried = (proof: InclusionProof | ConsistencyProof) => parseProof(JSON.stringify(proof));

describe('a proof of inclusion', () => {
  test('shows the record, offline, and nothing of what it says', async () => {
    const proof = await prove(5);
    expect(checkProof(carried(proof), { trustedKey: signer.verifier.text })).toMatchObject({
      kind: 'inclusion',
      leafIndex: 5,
      header: { stream: 'room-abc', revision: 5, kind: 'pdu', recordedAtMs: 1_700_000_000_005 },
      sections: [undefined, undefined],
      checkpoint: { origin: 'example.org/stele-log', size: RECORDS },
      logKey: signer.verifier.text,
    });
    expect(proof.sections.every((section) => Object.keys(section).join() === 'digest')).toBe(true);
  });

  test('shows the sections that were asked for, and only those', async () => {
    const proven = checkProof(carried(await prove(699, [0])));
    expect(proven).toMatchObject({ sections: [Buffer.from('section 0 of 699'), undefined] });
    const both = checkProof(carried(await prove(699, [0, 1])));
    expect(both).toMatchObject({ sections: [Buffer.from('section 0 of 699'), Buffer.from('section 1 of 699')] });
  });

  const changed = (base64: string) => {
    const bytes = Buffer.from(base64, 'base64');
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    return bytes.toString('base64');
  };
  const section = (proof: InclusionProof, change: Partial<InclusionProof['sections'][number]>) => ({
    ...proof,
    sections: [{ ...proof.sections[0], ...change }, proof.sections[1]] as InclusionProof['sections'],
  });

  test.each<[string, string, (proof: InclusionProof) => unknown]>([
    ['another leaf index', 'inclusion', (proof) => ({ ...proof, leaf_index: 6 })],
    ['an index outside the tree', 'inclusion', (proof) => ({ ...proof, leaf_index: RECORDS })],
    ['a changed digest', 'inclusion', (proof) => section(proof, { digest: changed(proof.sections[0]?.digest ?? '') })],
    ['a changed path', 'inclusion', (proof) => ({ ...proof, inclusion_path: proof.inclusion_path.toReversed() })],
    [
      'a header of another time',
      'inclusion',
      (proof) => {
        const header = Buffer.from(proof.header, 'base64');
        header.writeUInt8((header.at(-20) as number) ^ 1, header.length - 20);
        return { ...proof, header: header.toString('base64') };
      },
    ],
    ['an older checkpoint', 'inclusion', (proof) => ({ ...proof, checkpoint: oldCheckpoint })],
    [
      'a changed checkpoint',
      'checkpoint',
      (proof) => ({ ...proof, checkpoint: proof.checkpoint.replace('700', '701') }),
    ],
    [
      'other sealed bytes',
      'section-digest',
      (proof) => section(proof, { sealed: changed(proof.sections[0]?.sealed ?? '') }),
    ],
    [
      'another key for a section',
      'section-seal',
      (proof) => section(proof, { key: changed(proof.sections[0]?.key ?? '') }),
    ],
    ['a section without its key', 'malformed', (proof) => section(proof, { key: undefined })],
    ['a missing section', 'malformed', (proof) => ({ ...proof, sections: proof.sections.slice(1) })],
    ['a header that is none', 'malformed', (proof) => ({ ...proof, header: 'AAAA' })],
    ['bytes that are not base64', 'malformed', (proof) => ({ ...proof, header: '%%%' })],
    ['a short hash', 'malformed', (proof) => ({ ...proof, inclusion_path: ['AAAA'] })],
    ['an endless path', 'malformed', (proof) => ({ ...proof, inclusion_path: Array(55).fill(proof.header) })],
    ['a part that does not belong', 'malformed', (proof) => ({ ...proof, note: 'trust me' })],
    ['a key that is none', 'key', (proof) => ({ ...proof, log_key: 'example.org' })],
    [
      'a key of somebody else',
      'checkpoint',
      (proof) => ({
        ...proof,
        log_key: parseSigner(newSignerText(originOf('example.org'))).verifier.text,
      }),
    ],
  ])('with %s is rejected', async (_, flaw, change) => {
    const text = JSON.stringify(change(await prove(5, [0])));
    expect(() => checkProof(parseProof(text))).toThrow(expect.objectContaining({ name: 'ProofRejected', flaw }));
  });

  test('made by somebody else is rejected by who knows the key', async () => {
    const trustedKey = parseSigner(newSignerText(originOf('example.org'))).verifier.text;
    const proof = await prove(5);
    expect(() => checkProof(proof, { trustedKey })).toThrow(expect.objectContaining({ flaw: 'key' }));
  });

  test.each(['', '[]', '{"format":"stele-inclusion-proof/2"}', ' '.repeat(5 * 1024 * 1024)])(
    'a text that is none is rejected (%#)',
    (text) => {
      expect(() => parseProof(text)).toThrow(expect.objectContaining({ flaw: 'malformed' }));
    },
  );

  test('is not made of a record that is not published yet, nor of one that is not what was published', async () => {
    const [record] = records as [RawRecord];
    await expect(makeInclusionProof(log, { record, leafIndex: RECORDS })).rejects.toMatchObject({
      name: 'NotPublished',
    });
    const other = { ...record, leaf: Buffer.alloc(32) };
    await expect(makeInclusionProof(log, { record: other, leafIndex: 0 })).rejects.toMatchObject({
      name: 'ProofContradicted',
    });
  });
});

describe('a proof of consistency', () => {
  test('shows that the newer log continues the older one', async () => {
    const proof = await makeConsistencyProof(log, oldCheckpoint);
    expect(checkProof(carried(proof), { trustedKey: signer.verifier.text })).toMatchObject({
      kind: 'consistency',
      older: { size: 300 },
      newer: { size: RECORDS },
    });
  });

  test('the other way round is rejected', async () => {
    const proof = await makeConsistencyProof(log, oldCheckpoint);
    const turned = { ...proof, older_checkpoint: proof.newer_checkpoint, newer_checkpoint: proof.older_checkpoint };
    expect(() => checkProof(turned)).toThrow(expect.objectContaining({ flaw: 'consistency' }));
  });

  test('is not made from a checkpoint that this log contradicts', async () => {
    const root = Buffer.alloc(32, 7).toString('base64');
    const forged = signer.sign(`example.org/stele-log\n300\n${root}\n`);
    await expect(makeConsistencyProof(log, forged)).rejects.toThrow('history was changed');
    const larger = signer.sign(`example.org/stele-log\n3000\n${root}\n`);
    await expect(makeConsistencyProof(log, larger)).rejects.toThrow('history was lost');
    const foreign = parseSigner(newSignerText('other')).sign(`other\n300\n${root}\n`);
    await expect(makeConsistencyProof(log, foreign)).rejects.toMatchObject({ name: 'NoteError', reason: 'unsigned' });
  });
});
