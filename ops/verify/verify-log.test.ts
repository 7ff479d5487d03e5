import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Damaged, type LogRecord } from '#streams/event-log.ts';
import type { RawRecord, ScannableLog } from '#streams/raw-log.ts';
import { decodeHeader, encodeHeader, leafHash } from '#streams/record-format.ts';
import { originOf, signCheckpoint } from '#streams/transparency/checkpoint.ts';
import { type NoteSigner, newSignerText, parseSigner } from '#streams/transparency/note.ts';
import { TileFiles } from '#streams/transparency/tile-files.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';
import { type ContentCheck, verifyChunk } from './verify-chunk.ts';
import { CHUNK_RECORDS, type VerifyOptions, type VerifyReport, verifyLog } from './verify-log.ts';

/** More than one level 1 tile, several runs, and a partial tile at the end. */
const RECORDS = 70_000;
const STREAMS = 11;

/** A log in memory, whose records can be damaged. */
class StoredLog implements ScannableLog {
  readonly records: RawRecord[] = [];
  readonly unreadable = new Set<number>();
  readonly unopened = new Set<number>();
  readonly destroyed = new Set<number>();

  async *scanRaw(from: number, to: number) {
    for (let at = from + 1; at <= to; at += 100) {
      const batch: RawRecord[] = [];
      for (const record of this.records.slice(at, Math.min(at + 100, to + 1))) {
        if (this.unreadable.has(record.position)) {
          if (batch.length > 0) yield batch;
          throw new Damaged(`segment-0 at offset ${record.position * 100}: checksum`);
        }
        batch.push(record);
      }
      yield batch;
    }
  }

  async checkSections(records: readonly RawRecord[]) {
    const unopened = records.filter(({ position }) => this.unopened.has(position));
    return {
      destroyed: records
        .filter(({ position }) => this.destroyed.has(position))
        .map(({ position }) => ({ position, section: 0 })),
      unopened: unopened.map(({ position }) => ({ position, message: `record ${position} does not open` })),
    };
  }

  async openRecords(records: readonly RawRecord[]): Promise<LogRecord[]> {
    return records.map(({ position, header }) => {
      if (this.unopened.has(position)) throw new Damaged(`record ${position} does not open`);
      return { ...decodeHeader(header), position, sections: [Buffer.from('text')] };
    });
  }

  grow(count: number): Buffer[] {
    const leaves: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const position = this.records.length;
      intact[position] ??= recordAt(position);
      const record = intact[position];
      this.records.push(record);
      leaves.push(record.leaf);
    }
    return leaves;
  }
}

/** Records as they should be, made once. */
const intact: RawRecord[] = [];

function recordAt(position: number, changes: { text?: string; revision?: number } = {}): RawRecord {
  const header = encodeHeader({
    stream: `room-${position % STREAMS}`,
    revision: changes.revision ?? Math.floor(position / STREAMS),
    kind: 'pdu',
    version: 1,
    recordedAtMs: position,
    id: Buffer.alloc(16),
    sectionCount: 1,
  });
  const sealedSections = [Buffer.from(changes.text ?? `text ${position}`)];
  return { position, header, sealedSections, leaf: leafHash(header, sealedSections) };
}

let folder: string;
let log: StoredLog;
let signer: NoteSigner;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stele-verify-'));
  log = new StoredLog();
  signer = parseSigner(newSignerText(originOf('example.org')));
});
afterEach(() => rm(folder, { recursive: true }));

/** Grows and publishes in steps. */
async function publish(...counts: number[]): Promise<string[]> {
  const leaves = {
    size: () => log.records.length,
    async *readLeaves(index: number) {
      yield log.records.slice(index).map(({ leaf }) => leaf);
    },
  };
  const tree = await TransparencyLog.open({ folder, signer, leaves });
  const checkpoints: string[] = [];
  for (const count of counts) {
    tree.add(log.grow(count));
    await tree.publish();
    checkpoints.push(tree.checkpoint() ?? '');
  }
  await tree.close();
  return checkpoints;
}

function verify(options: Partial<VerifyOptions> & { check?: ContentCheck } = {}): Promise<VerifyReport> {
  const files = new TileFiles(folder);
  return verifyLog({
    size: log.records.length,
    files,
    verifier: signer.verifier,
    opens: true,
    lanes: 3,
    verifyChunk: (request) => verifyChunk(log, files, request, options.check),
    ...options,
  });
}

async function kindsFound(options: Partial<VerifyOptions> = {}): Promise<string[]> {
  const { findings } = await verify(options);
  return findings.map(({ kind, position }) => (position === undefined ? kind : `${kind} ${position}`));
}

describe('a log that is as it was written', () => {
  test.each([0, 1, 255, 256, 257, CHUNK_RECORDS, CHUNK_RECORDS + 1, RECORDS])('of %i records passes', async (size) => {
    await publish(size);
    expect(await verify()).toMatchObject({
      from: 0,
      records: size,
      size,
      publishedSize: size,
      streams: Math.min(size, STREAMS),
      destroyedSections: 0,
      checkpoints: 2,
      otherKeys: 0,
      findingCount: 0,
      findings: [],
    });
  });

  test('passes with checkpoints of every age, also beyond what is published', async () => {
    const old = await publish(1, 255, 44, 20_000, 40_000);
    log.grow(1000);
    const checkpoints = old.map((text, i) => ({ source: `copy ${i}`, text }));
    const report = await verify({ checkpoints });
    expect(report).toMatchObject({ checkpoints: 7, size: 61_300, publishedSize: 60_300, findings: [] });
  });

  test('passes from any record', async () => {
    await publish(100, RECORDS - 100);
    for (const from of [1, 256, 300, 65_536, RECORDS - 1, RECORDS, RECORDS * 2]) {
      const start = Math.floor(Math.min(from, RECORDS) / 256) * 256;
      expect(await verify({ from })).toMatchObject({ from: start, records: RECORDS - start, findings: [] });
    }
  });

  test('passes where keys were destroyed, and counts them', async () => {
    await publish(1000);
    log.destroyed.add(7);
    expect(await verify()).toMatchObject({ destroyedSections: 1, findings: [] });
  });

  test('passes under a new key, and says so', async () => {
    await publish(1000);
    const { verifier } = parseSigner(newSignerText(originOf('example.org')));
    expect(await verify({ verifier })).toMatchObject({ checkpoints: 2, otherKeys: 2, findings: [] });
  });
});

describe('finds', () => {
  test('a record that cannot be read, and goes on behind it', async () => {
    await publish(RECORDS);
    log.unreadable.add(500).add(501).add(40_000);
    const report = await verify();
    expect(report.findings.map(({ kind, position }) => [kind, position])).toEqual([
      ['damaged', 500],
      ['damaged', 40_000],
    ]);
    expect(report.findings.map(({ message }) => message)).toEqual([
      'records 500 to 501 cannot be read: segment-0 at offset 50000: checksum',
      'record 40000 cannot be read: segment-0 at offset 4000000: checksum',
    ]);
    expect(report).toMatchObject({ records: RECORDS - 3, checkpoints: 2 });
  });

  test('an unreadable record behind what is published', async () => {
    await publish(1000);
    log.grow(1000);
    log.unreadable.add(1001);
    expect(await kindsFound()).toEqual(['damaged 1001']);
  });

  test('a region without a readable record, in one run only', async () => {
    await publish(3 * CHUNK_RECORDS);
    for (let at = 300; at < 600; at++) log.unreadable.add(at);
    const report = await verify();
    expect(report.findings).toMatchObject([
      { message: expect.stringContaining('records 300 to 16383 cannot be read') },
    ]);
    expect(report.records).toBe(2 * CHUNK_RECORDS + 300);
    expect(report.checkpoints).toBe(2);
  });

  test('a missing record', async () => {
    await publish(1000);
    log.records.splice(500, 1);
    expect(await kindsFound({ size: 1000 })).toEqual(['damaged 500']);
  });

  test('a record that was changed with a right checksum, its name and that history was changed', async () => {
    await publish(1000, 20_000);
    log.records[500] = recordAt(500, { text: 'forged' });
    expect(await kindsFound()).toEqual(['checkpoint', 'checkpoint', 'changed 500']);
  });

  test('a record that was changed together with its tile', async () => {
    await publish(RECORDS);
    log.records[500] = recordAt(500, { text: 'forged' });
    const tile = join(folder, 'tile', '0', '001');
    const bytes = await readFile(tile);
    bytes.set(log.records[500].leaf, (500 - 256) * 32);
    await writeFile(tile, bytes);
    // The roots tell, and the tile above says where about.
    const { findings } = await verify();
    expect(findings.map(({ kind }) => kind)).toEqual(['checkpoint', 'checkpoint', 'changed']);
    expect(findings[2]?.message).toContain('of records 256 to 511 one is not what was published: see tile/1/000');
  });

  test('records that are gone from the end', async () => {
    await publish(1000);
    log.records.length = 900;
    const { findings } = await verify();
    expect(findings.map(({ kind }) => kind)).toEqual(['lost', 'lost']);
    expect(findings[0]?.message).toContain('speaks of 1000 records, the log has only 900');
  });

  test('a checkpoint of another history', async () => {
    await publish(1000);
    const text = signCheckpoint({ size: 300, root: Buffer.alloc(32) }, signer);
    const { findings } = await verify({ checkpoints: [{ source: 'mail of May', text }] });
    expect(findings).toMatchObject([{ kind: 'checkpoint', message: expect.stringMatching(/^mail of May: the root/) }]);
  });

  test('a checkpoint whose signature does not hold, or that is none', async () => {
    const [checkpoint = ''] = await publish(1000);
    const forged = checkpoint.replace('\n1000\n', '\n999\n');
    const checkpoints = [
      { source: 'a', text: forged },
      { source: 'b', text: 'hello' },
    ];
    expect(await kindsFound({ checkpoints })).toEqual(['checkpoint', 'checkpoint']);
  });

  test.each([
    ['0/000', 1],
    ['0/001', 1],
    ['0/273.p/112', 1],
    ['1/000', 1],
    ['1/001.p/17', 1],
    ['2/000.p/1', 1],
  ])('a missing or damaged tile %s', async (path) => {
    await publish(RECORDS);
    const file = join(folder, 'tile', path);
    const bytes = await readFile(file);
    await rm(file);
    expect(await kindsFound()).toEqual(['tile']);
    bytes[5] = (bytes[5] as number) ^ 1;
    await writeFile(file, bytes);
    expect(await kindsFound()).toEqual(['tile']);
  });

  test('a revision out of order, in a run and between runs', async () => {
    for (const position of [500, CHUNK_RECORDS + 5]) {
      log = new StoredLog();
      const { leaf: _, ...changed } = recordAt(position, { revision: 1_000_000 });
      log.grow(CHUNK_RECORDS * 2);
      log.records[position] = recordAt(position, { revision: decodeHeader(changed.header).revision });
      const { findings } = await verify();
      expect(findings.map(({ kind }) => kind)).toEqual(['revision', 'revision']);
      expect(findings[0]?.message).toContain(`of stream room-${position % STREAMS}`);
    }
  });

  test('a section that does not open', async () => {
    await publish(1000);
    log.unopened.add(7);
    expect(await kindsFound()).toEqual(['section 7']);
    expect(await kindsFound({ opens: false })).toEqual([]);
  });

  test('an opened record that is not what it says', async () => {
    await publish(1000);
    const { findings } = await verify({ check: ({ position }) => (position === 9 ? 'event id differs' : undefined) });
    expect(findings).toEqual([{ kind: 'content', message: 'record 9: event id differs', position: 9 }]);
  });

  test('more than it can name, and counts the rest', async () => {
    await publish(1000);
    for (let at = 0; at < 300; at++) log.unopened.add(at);
    const report = await verify();
    expect(report.findingCount).toBe(300);
    expect(report.findings).toHaveLength(100);
  });
});

test('ends at a signal', async () => {
  await publish(CHUNK_RECORDS * 3);
  const stopping = new AbortController();
  const verification = verify({ signal: stopping.signal, onProgress: () => stopping.abort() });
  await expect(verification).rejects.toMatchObject({ name: 'AbortError' });
});

test('tells how far it has come', async () => {
  await publish(CHUNK_RECORDS * 2 + 10);
  const steps: number[] = [];
  await verify({ onProgress: (records) => steps.push(records) });
  expect(steps).toEqual([CHUNK_RECORDS, CHUNK_RECORDS * 2, CHUNK_RECORDS * 2 + 10]);
});
