/** What becomes of an environment when a process or the machine stopped while it was in use, or its files were damaged. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, open, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import { ListLog } from '#projections/engine/list-log.test-support.ts';
import { notesByStream, sampleProjections, totals } from '#projections/engine/notes.test-support.ts';
import { findPageDamage } from '#projections/engine/page-check.ts';
import type { EngineProgress } from '#projections/engine/progress.ts';

const PAGE_BYTES = 4096;

let dir: string;
let progress: EngineProgress[];
let engines: ProjectionEngine[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-restart-'));
  progress = [];
  engines = [];
});
afterEach(async () => {
  for (const engine of engines) await engine.close();
  await rm(dir, { recursive: true, force: true });
});

async function start(log: ListLog, bootId = 'first boot'): Promise<ProjectionEngine> {
  const engine = await ProjectionEngine.open({
    dir,
    log,
    projections: sampleProjections,
    bootId,
    safeCopies: false,
    onProgress: (told) => progress.push(told),
  });
  engines.push(engine);
  return engine;
}

/** The environment in use. */
async function currentFolder(): Promise<string> {
  return join(dir, (await readFile(join(dir, 'CURRENT'), 'utf8')).trim());
}

/** Leaves the files as they are in this moment, as a process that is killed does; the engine is closed aside. */
async function killed(engine: ProjectionEngine): Promise<void> {
  const folder = await currentFolder();
  const aside = await mkdtemp(join(tmpdir(), 'stele-restart-'));
  for (const name of ['data.mdb', 'mark.json']) await copyFile(join(folder, name), join(aside, name));
  await engine.close();
  for (const name of ['data.mdb', 'mark.json']) await copyFile(join(aside, name), join(folder, name));
  await rm(aside, { recursive: true });
}

function expectAll(engine: ProjectionEngine, count: number): void {
  expect(engine.frontier).toBe(count - 1);
  expect(engine.recordCount).toBe(count);
  let at = 0;
  for (const { key, value } of engine.reader.range(notesByStream, {})) {
    expect(value.toString()).toMatch(new RegExp(`^note ${key[1]} x*$`));
    at++;
  }
  expect(at).toBe(count);
  const sum = [...engine.reader.range(totals)].reduce((total, { value }) => total + value.count, 0);
  expect(sum).toBe(count);
}

describe('a process that was killed', () => {
  it('finds its environment as it left it', async () => {
    const log = new ListLog(500);
    await killed(await start(log));
    log.grow(5);
    progress.length = 0;
    expectAll(await start(log), 505);
    expect(progress.map(({ records }) => records)).toEqual([5]);
  });

  it('heals when it was killed between log and projection', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'killed-while-applying.ts'), dir, '700', '555'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
    const engine = await start(new ListLog(700), 'first boot');
    expectAll(engine, 700);
    // It was live at 500 and applied one record at a time up to the one before.
    expect(progress.map(({ records }) => records)).toEqual([145]);
  });

  it('heals when it was killed while rebuilding beside', async () => {
    const log = new ListLog(300);
    await (await start(log)).close();
    await rm(join(await currentFolder(), 'mark.json'));
    const child = spawn(process.execPath, [join(import.meta.dirname, 'killed-while-applying.ts'), dir, '300', '50'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
    expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-1', 'env-2']);
    expectAll(await start(log), 300);
    expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-2']);
  });
});

describe('a machine that stopped', () => {
  it('does not trust an environment that was in use, and builds it anew', async () => {
    const log = new ListLog(500);
    await killed(await start(log));
    progress.length = 0;
    expectAll(await start(log, 'second boot'), 500);
    expect(progress.at(-1)).toMatchObject({
      reason: 'the machine stopped while the projections were in use',
      records: 500,
      isDone: true,
    });
  });

  it('starts from the safe copy and applies what came after', async () => {
    const log = new ListLog(500);
    const engine = await start(log);
    await engine.copySafely();
    log.grow(40);
    await killed(engine);
    await overwritePages(await currentFolder(), 2, 20);
    progress.length = 0;
    expectAll(await start(log, 'second boot'), 540);
    expect(progress.at(-1)).toMatchObject({
      reason: 'the machine stopped while the projections were in use; starting from their safe copy',
      records: 40,
    });
    expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-2', 'safe-1']);
  });

  it('builds anew when the safe copy is damaged too', async () => {
    const log = new ListLog(500);
    const engine = await start(log);
    await engine.copySafely();
    await killed(engine);
    await overwritePages(join(dir, 'safe-1'), 5, 1);
    progress.length = 0;
    expectAll(await start(log, 'second boot'), 500);
    expect(progress.at(-1)).toMatchObject({ records: 500 });
  });

  it('trusts what was closed before', async () => {
    const log = new ListLog(500);
    await (await start(log)).close();
    progress.length = 0;
    expectAll(await start(log, 'second boot'), 500);
    expect(progress).toEqual([]);
  });

  it('has a safe copy soon after enough has changed, without being asked', async () => {
    const log = new ListLog(50);
    const safeCopies = { intervalMs: 1, minRecords: 100, minShare: 0.5 };
    const engine = await ProjectionEngine.open({ dir, log, projections: sampleProjections, safeCopies });
    engines.push(engine);
    const copies = async (): Promise<string[]> => (await readdir(dir)).filter((name) => name.startsWith('safe-'));
    expect(await copies()).toEqual([]);
    log.grow(100);
    await expect.poll(copies).toEqual(['safe-1']);
    log.grow(400);
    await expect.poll(copies).toEqual(['safe-2']);
  });

  it('keeps the latest safe copy only', async () => {
    const log = new ListLog(50);
    const engine = await start(log);
    await engine.copySafely();
    log.grow(50);
    await engine.copySafely();
    expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-1', 'safe-2']);
  });
});

describe('damaged files', () => {
  const damages: Record<string, (folder: string) => Promise<void>> = {
    'are missing': (folder) => rm(folder, { recursive: true }),
    'miss the data': (folder) => unlink(join(folder, 'data.mdb')),
    'miss the mark': (folder) => unlink(join(folder, 'mark.json')),
    'are empty': (folder) => truncate(join(folder, 'data.mdb')),
    'are cut short': (folder) => truncate(join(folder, 'data.mdb'), 10 * PAGE_BYTES),
    'have no head pages': (folder) => overwritePages(folder, 0, 2),
    'have a bad first head page': (folder) => overwritePages(folder, 0, 1),
    'have bad pages': (folder) => overwritePages(folder, 2, 30),
    'are something else': (folder) => writeFile(join(folder, 'data.mdb'), 'this is not a database'.repeat(1000)),
    'have an unreadable mark': (folder) => writeFile(join(folder, 'mark.json'), '{"state":"clo'),
  };
  for (const [what, damage] of Object.entries(damages)) {
    it(`that ${what} are built anew`, async () => {
      const log = new ListLog(500);
      await (await start(log)).close();
      await damage(await currentFolder());
      progress.length = 0;
      expectAll(await start(log), 500);
      expect(progress.at(-1)).toMatchObject({ records: 500, isDone: true });
      expect((await readdir(dir)).sort()).toEqual(['CURRENT', 'env-2']);
    });
  }

  it('with any one page overwritten are noticed', async () => {
    // A copy has no free pages, which would not matter.
    await (await start(new ListLog(500))).copySafely();
    const data = join(dir, 'safe-1', 'data.mdb');
    const sound = await readFile(data);
    expect(await findPageDamage(data)).toBeUndefined();
    let noticed = 0;
    const count = sound.length / PAGE_BYTES;
    for (let page = 0; page < count; page++) {
      const bytes = Buffer.from(sound);
      bytes.fill(0xa5, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      await writeFile(data, bytes);
      if ((await findPageDamage(data)) !== undefined) noticed++;
    }
    await writeFile(data, sound);
    expect(await findPageDamage(data)).toBeUndefined();
    expect(noticed).toBe(count);
  });

  it('of an environment of another log are built anew', async () => {
    await (await start(new ListLog(500))).close();
    progress.length = 0;
    expectAll(await start(new ListLog(600, 'other')), 600);
    expect(progress.at(-1)).toMatchObject({ reason: 'the projections are of another log, or ahead of this one' });
  });

  it('of an environment ahead of the log are built anew', async () => {
    await (await start(new ListLog(500))).close();
    expectAll(await start(new ListLog(400)), 400);
  });
});

async function overwritePages(folder: string, first: number, count: number): Promise<void> {
  const file = await open(join(folder, 'data.mdb'), 'r+');
  try {
    const bytes = Buffer.alloc(count * PAGE_BYTES, 0xa5);
    await file.write(bytes, 0, bytes.length, first * PAGE_BYTES);
  } finally {
    await file.close();
  }
}
