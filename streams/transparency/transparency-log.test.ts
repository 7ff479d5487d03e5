import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../record-format.ts';
import { openCheckpoint, originOf, readCheckpoint } from './checkpoint.ts';
import { Frontier, isConsistent, isIncluded, proveConsistency, proveInclusion } from './merkle.ts';
import { openSigningKey } from './signing-key.ts';
import { findBadTiles, type LeafSource, remakeTiles } from './tile-check.ts';
import { subtreesFromTiles, TileFiles } from './tile-files.ts';
import { edgeTiles } from './tiles.ts';
import { latestPublishedSize, TransparencyLog, type TransparencyNotice } from './transparency-log.ts';

const leafOf = (index: number) => sha256(Buffer.from(`leaf ${index}`));

/** A log that only has leaves. */
class Leaves implements LeafSource {
  readonly all: Buffer[] = [];
  reads = 0;
  size(): number {
    return this.all.length;
  }
  async *readLeaves(index: number) {
    this.reads++;
    for (let at = index; at < this.all.length; at += 100) yield this.all.slice(at, at + 100);
  }
  grow(count: number): Buffer[] {
    const more = Array.from({ length: count }, (_, i) => leafOf(this.all.length + i));
    for (const leaf of more) this.all.push(leaf);
    return more;
  }
  root(size = this.all.length): Uint8Array {
    const frontier = new Frontier();
    for (const leaf of this.all.slice(0, size)) frontier.append(leaf);
    return frontier.root();
  }
}

let folder: string;
let leaves: Leaves;
let notices: TransparencyNotice[];
const logs: TransparencyLog[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stele-transparency-'));
  leaves = new Leaves();
  notices = [];
});
afterEach(async () => {
  for (const log of logs.splice(0)) await log.close().catch(() => undefined);
  await rm(folder, { recursive: true });
});

const signer = () =>
  openSigningKey({ keyFile: join(folder, 'key'), origin: originOf('example.org'), folder: join(folder, 'tlog') });

async function openLog(options: { publishIntervalMs?: number; now?: () => number } = {}): Promise<TransparencyLog> {
  const log = await TransparencyLog.open({
    folder: join(folder, 'tlog'),
    signer: await signer(),
    leaves,
    onNotice: (notice) => notices.push(notice),
    publishIntervalMs: 3_600_000,
    ...options,
  });
  logs.push(log);
  return log;
}

/** The files as they are now, whatever a log that is open still means to write. */
async function files(): Promise<TileFiles> {
  return new TileFiles(join(folder, 'tlog'));
}

async function head() {
  return openCheckpoint((await (await files()).checkpoint()) ?? '', (await signer()).verifier);
}

async function expectWhole(): Promise<void> {
  const published = await head();
  expect(published.size).toBe(leaves.size());
  expect(Buffer.from(published.root)).toEqual(Buffer.from(leaves.root()));
  expect(await findBadTiles(await files(), published)).toEqual([]);
}

describe('publishing', () => {
  test('says nothing before it is asked, then the head of everything added', async () => {
    const log = await openLog();
    expect(log.checkpoint()).toBeUndefined();
    log.add(leaves.grow(3));
    expect(log.size).toBe(3);
    expect(log.publishedSize).toBe(0);
    await log.publish();
    expect(log.publishedSize).toBe(3);
    expect(readCheckpoint(log.checkpoint() ?? '')).toMatchObject({ origin: 'example.org/stele-log', size: 3 });
    expect(await latestPublishedSize(join(folder, 'tlog'))).toBe(3);
    await expectWhole();
  });

  test('says which file to put back when its checkpoint cannot be read', async () => {
    await mkdir(join(folder, 'tlog'), { recursive: true });
    await writeFile(join(folder, 'tlog', 'checkpoint'), 'garbage');
    await expect(latestPublishedSize(join(folder, 'tlog'))).rejects.toThrow(
      /tlog\/checkpoint cannot be read.*Put it back/,
    );
  });

  test('happens by itself when the interval is over, and again for what came meanwhile', async () => {
    const log = await openLog({ publishIntervalMs: 1 });
    for (const count of [10, 300]) {
      log.add(leaves.grow(count));
      await expect.poll(() => log.publishedSize).toBe(leaves.size());
    }
    await expectWhole();
  });

  test('happens at closing, also of an empty log', async () => {
    const log = await openLog();
    await log.close();
    await expectWhole();
  });

  test('calls at the same time share one publication', async () => {
    const log = await openLog();
    log.add(leaves.grow(5));
    const first = log.publish();
    log.add(leaves.grow(5));
    const second = log.publish();
    expect(log.publish()).toBe(second);
    await Promise.all([first, second]);
    expect(log.publishedSize).toBe(10);
  });

  test('keeps the partial tiles of published heads until the full tile is there', async () => {
    const log = await openLog();
    for (const count of [10, 20]) {
      log.add(leaves.grow(count));
      await log.publish();
    }
    const level0 = join(folder, 'tlog', 'tile', '0');
    expect((await readdir(join(level0, '000.p'))).sort()).toEqual(['10', '30']);
    log.add(leaves.grow(300));
    await log.publish();
    expect((await readdir(level0)).sort()).toEqual(['000', '001.p']);
    await expectWhole();
  });

  test('never writes a published tile again: somebody may be reading it', async () => {
    const log = await openLog();
    log.add(leaves.grow(300));
    await log.publish();
    const upper = join(folder, 'tlog', 'tile', '1', '000.p', '1');
    const { mtimeNs } = await stat(upper, { bigint: true });
    log.add(leaves.grow(1));
    await log.publish();
    expect((await head()).size).toBe(301);
    expect((await stat(upper, { bigint: true })).mtimeNs).toBe(mtimeNs);
  });

  test('every old head is a prefix of every new one, and every leaf is proven from the tiles', async () => {
    const log = await openLog();
    const heads = [];
    for (const count of [1, 254, 1, 1, 255, 700, 66_000]) {
      log.add(leaves.grow(count));
      await log.publish();
      heads.push(readCheckpoint(log.checkpoint() ?? ''));
    }
    const newest = heads.at(-1) ?? (await head());
    const read = subtreesFromTiles(await files(), newest.size);
    for (const older of heads) {
      expect(isConsistent(older, newest, await proveConsistency(older.size, newest.size, read))).toBe(true);
    }
    for (const index of [0, 255, 256, 65_535, 65_536, newest.size - 1]) {
      expect(isIncluded(leafOf(index), index, newest, await proveInclusion(index, newest.size, read))).toBe(true);
    }
  });

  test('keeps a head an hour for good', async () => {
    let nowMs = 1_000_000_000;
    const log = await openLog({ now: () => nowMs });
    for (const pass of [0, 60_000, 3_600_000]) {
      nowMs += pass;
      log.add(leaves.grow(1));
      await log.publish();
    }
    const history = await (await files()).history();
    expect(history.map(({ checkpoint }) => readCheckpoint(checkpoint).size)).toEqual([1, 3]);
  });

  test('reads from the log what was too much to hold', async () => {
    const log = await openLog();
    log.add(leaves.grow(140_000));
    log.add(leaves.grow(10));
    await log.publish();
    expect(leaves.reads).toBeGreaterThan(0);
    await expectWhole();
  });

  test('takes a batch that never came from the log', async () => {
    const log = await openLog();
    leaves.grow(5);
    log.add(leaves.grow(5));
    await log.publish();
    await expectWhole();
  });
});

describe('opening again', () => {
  async function closedWith(count: number): Promise<void> {
    const log = await openLog();
    log.add(leaves.grow(count));
    await log.close();
  }

  test('goes on where it was', async () => {
    await closedWith(1000);
    const log = await openLog();
    log.add(leaves.grow(1000));
    await log.publish();
    await expectWhole();
    expect(notices).toEqual([]);
  });

  test('publishes by itself what the log got after the last checkpoint', async () => {
    await closedWith(1000);
    leaves.grow(70_000);
    const log = await openLog({ publishIntervalMs: 1 });
    await expect.poll(() => log.publishedSize).toBe(71_000);
    await expectWhole();
  });

  test.each([
    ['a missing partial tile', async (path: string) => rm(path)],
    ['a short partial tile', async (path: string) => writeFile(path, Buffer.alloc(32))],
    ['a damaged partial tile', async (path: string) => writeFile(path, Buffer.alloc((await stat(path)).size))],
  ])('heals %s', async (_, damage) => {
    await closedWith(1000);
    await damage(join(folder, 'tlog', 'tile', '0', '003.p', '232'));
    await openLog();
    expect(notices).toEqual([{ kind: 'tiles-remade', count: 1 }]);
    await expectWhole();
  });

  test('after a crash, heals any full tile in the background', async () => {
    const log = await openLog();
    log.add(leaves.grow(70_000));
    await log.publish();
    const tile = join(folder, 'tlog', 'tile', '0', '100');
    const before = await readFile(tile);
    await rm(tile);
    await writeFile(join(folder, 'tlog', 'tile', '0', '200'), 'rubbish');
    // The first log was not closed: its mark is still there.
    await openLog();
    await expect.poll(() => notices).toEqual([{ kind: 'tiles-remade', count: 2 }]);
    expect(await readFile(tile)).toEqual(before);
    await expectWhole();
  });

  test('is refused where the log lost records that were published', async () => {
    await closedWith(1000);
    leaves.all.length = 999;
    await expect(openLog()).rejects.toMatchObject({ name: 'HistoryContradicted', kind: 'lost', found: { size: 999 } });
    await expect(openLog()).rejects.toThrow(/history was lost: 1000 records .* has only 999 records/);
  });

  test('is refused where a late record was changed, and no tile is overwritten', async () => {
    await closedWith(1000);
    const tile = join(folder, 'tlog', 'tile', '0', '003.p', '232');
    const before = await readFile(tile);
    leaves.all[990] = leafOf(-1);
    await expect(openLog()).rejects.toMatchObject({
      name: 'HistoryContradicted',
      kind: 'changed',
      published: { size: 1000 },
      found: { size: 1000, root: leaves.root() },
    });
    expect(await readFile(tile)).toEqual(before);
  });

  test('tiles are never made again from a log with a changed record', async () => {
    await closedWith(1000);
    await rm(join(folder, 'tlog', 'tile', '0', '001'));
    leaves.all[5] = leafOf(-1);
    await expect(remakeTiles(await files(), leaves, await head())).rejects.toMatchObject({ kind: 'changed' });
    expect((await readdir(join(folder, 'tlog', 'tile', '0'))).sort()).toEqual(['000', '002', '003.p']);
  });

  test('goes on after a publication that failed, with nothing lost', async () => {
    const log = await openLog();
    log.add(leaves.grow(100));
    await log.publish();
    // A file stands where the folder of the next partial tile would be.
    await writeFile(join(folder, 'tlog', 'tile', '0', '001.p'), '');
    log.add(leaves.grow(400));
    await expect(log.publish()).rejects.toMatchObject({ code: 'EEXIST' });
    expect(notices).toMatchObject([{ kind: 'failed' }]);
    expect(log.publishedSize).toBe(100);
    await rm(join(folder, 'tlog', 'tile', '0', '001.p'));
    log.add(leaves.grow(1));
    await log.publish();
    await expectWhole();
  });
});

describe('finding bad tiles', () => {
  test('names the tile and nothing below it', async () => {
    const log = await openLog();
    log.add(leaves.grow(140_000));
    await log.close();
    const path = (name: string) => join(folder, 'tlog', 'tile', ...name.split('/'));
    const damage = async (name: string) => {
      const bytes = await readFile(path(name));
      bytes[40] = (bytes[40] as number) ^ 1;
      await writeFile(path(name), bytes);
    };
    await damage('0/000');
    expect(await findBadTiles(await files(), await head())).toEqual([{ level: 0, index: 0, width: 256 }]);
    await damage('1/000');
    expect(await findBadTiles(await files(), await head())).toEqual([{ level: 1, index: 0, width: 256 }]);
    await damage('2/000.p/2');
    expect(await findBadTiles(await files(), await head())).toEqual(edgeTiles(140_000));
    const remade = await remakeTiles(await files(), leaves, await head());
    expect(remade).toHaveLength(3);
    await expectWhole();
  });
});

describe('the signing key', () => {
  test('is made once, for its owner only', async () => {
    const first = await signer();
    expect((await stat(join(folder, 'key'))).mode & 0o777).toBe(0o600);
    expect((await signer()).verifier.text).toBe(first.verifier.text);
    expect(first.verifier.text).toMatch(/^example\.org\/stele-log\+[0-9a-f]{8}\+/);
  });

  test('is not silently replaced once it has signed', async () => {
    await (await openLog()).close();
    await rm(join(folder, 'key'));
    await expect(signer()).rejects.toThrow(/key is missing, but .*checkpoint was signed with it/);
  });

  test('belongs to one origin', async () => {
    await signer();
    const renamed = openSigningKey({ keyFile: join(folder, 'key'), origin: 'other/stele-log', folder });
    await expect(renamed).rejects.toMatchObject({ name: 'SigningKeyError' });
  });

  test('that is not the one that signed stops the log', async () => {
    await (await openLog()).close();
    await writeFile(join(folder, 'key2'), '');
    await rm(join(folder, 'key2'));
    const other = await openSigningKey({ keyFile: join(folder, 'key2'), origin: originOf('example.org'), folder });
    const opening = TransparencyLog.open({ folder: join(folder, 'tlog'), signer: other, leaves });
    await expect(opening).rejects.toMatchObject({ name: 'NoteError', reason: 'unsigned' });
  });
});
