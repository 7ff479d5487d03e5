import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NO_STREAM } from '#streams/event-log.ts';
import { type MemoryLog, openMemoryLog } from '#streams/memory/memory-log.ts';
import { Applier } from './applier.ts';
import { ProjectionEngine } from './engine.ts';
import { Environment } from './environment.ts';
import { EngineStopped } from './errors.ts';
import { notesByStream, sampleProjections, totals } from './notes.test-support.ts';

const SECRET = 'the words that nobody may read again';
let dir: string;
let log: MemoryLog;
let engine: ProjectionEngine;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-renewal-'));
  log = openMemoryLog();
  engine = await ProjectionEngine.open({ dir, log, projections: sampleProjections, bootId: 'this boot' });
});
afterEach(async () => {
  await engine.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

async function append(texts: readonly string[], stream = 's'): Promise<void> {
  const expected = await log.revisionOf(stream);
  const drafts = texts.map((text) => ({
    id: randomBytes(16),
    kind: 'note',
    version: 1,
    sections: [Buffer.from(text)],
  }));
  await log.append(stream, expected, drafts);
}

/** Names of files below the folder in which a text is found. */
async function filesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    if ((await readFile(path)).includes(text)) found.push(path.slice(dir.length + 1));
  }
  return found;
}

const texts = (): string[] => [...engine.reader.range(notesByStream)].map(({ value }) => value.toString());

it('leaves nothing of what was destroyed in any file, and the tables that a replay gives', async () => {
  await append(Array.from({ length: 3000 }, (_, n) => (n % 3 === 0 ? `${SECRET} ${n}` : `kept ${n}`)));
  await engine.copySafely();
  expect(await filesWith(SECRET)).toHaveLength(2);

  const positions = Array.from({ length: 1000 }, (_, n) => 3 * n);
  await log.destroyKeys(positions.map((position) => ({ position, section: 0 })));
  let renewals = 0;
  engine.onRenewed(() => {
    renewals += 1;
  });
  const renewed = await engine.renew();

  expect(renewals).toBe(1);
  expect(renewed.records).toBe(3000);
  expect(await filesWith(SECRET)).toEqual([]);
  expect(await filesWith('kept 1')).toHaveLength(1);
  expect((await readdir(dir)).filter((name) => /^(env|safe)-/.test(name))).toHaveLength(1);
  expect(texts().filter((text) => text === '')).toHaveLength(1000);
  expect(engine.reader.get(totals, ['s'])).toEqual({ count: 3000, last: 2999 });
});

it('goes on reading and writing meanwhile, and loses nothing of what comes', async () => {
  await append(Array.from({ length: 2000 }, (_, n) => `before ${n}`));
  const renewing = engine.renew();
  let isOver = false;
  void renewing.finally(() => {
    isOver = true;
  });
  let sent = 0;
  while (!isOver) {
    await append([`meanwhile ${sent++}`]);
    // A log in memory acknowledges without a turn of the event loop.
    await nextTurn();
    expect(engine.frontier).toBe(log.head());
  }
  await renewing;
  await append(['after']);
  expect(sent).toBeGreaterThan(2);
  expect(texts()).toHaveLength(2000 + sent + 1);
  expect(texts().at(-1)).toBe('after');
  await engine.close();
  engine = await ProjectionEngine.open({ dir, log, projections: sampleProjections, bootId: 'this boot' });
  expect(texts()).toHaveLength(2000 + sent + 1);
});

it('keeps what a snapshot reads until it is done with it', async () => {
  await append(['one', 'two']);
  const inSnapshot = Promise.withResolvers<void>();
  const mayEnd = Promise.withResolvers<void>();
  const snapshot = engine.snapshot(async (reader) => {
    inSnapshot.resolve();
    await mayEnd.promise;
    return [...reader.range(notesByStream)].map(({ value }) => value.toString());
  });
  await inSnapshot.promise;
  const swapped = Promise.withResolvers<void>();
  engine.onRenewed(() => swapped.resolve());
  const renewing = engine.renew();
  await swapped.promise;
  await append(['three']);
  expect(texts()).toEqual(['one', 'two', 'three']);
  mayEnd.resolve();
  expect(await snapshot).toEqual(['one', 'two']);
  await renewing;
  expect((await readdir(dir)).filter((name) => name.startsWith('env-'))).toHaveLength(1);
});

it('takes over what another thread has built ahead', async () => {
  await append(Array.from({ length: 500 }, (_, n) => `note ${n}`));
  const renewed = await engine.renew({
    buildAhead: async (path) => {
      const environment = new Environment({ path, projections: sampleProjections });
      const applier = new Applier(environment, sampleProjections);
      for await (const records of log.readAll(-1)) applier.apply(records.filter(({ position }) => position < 300));
      await environment.close();
    },
  });
  expect(renewed.records).toBe(500);
  expect(texts()).toHaveLength(500);
});

it('leaves what is in use in use when it fails, and nothing else', async () => {
  await append(['one']);
  const failing = async (): Promise<void> => {
    throw new Error('no thread today');
  };
  await expect(engine.renew({ buildAhead: failing })).rejects.toThrow('no thread today');
  await append(['two']);
  expect(texts()).toEqual(['one', 'two']);
  expect((await readdir(dir)).filter((name) => name.startsWith('env-'))).toHaveLength(1);
  expect(await log.revisionOf('s')).toBeGreaterThan(NO_STREAM);
});

it('is refused by an engine that is closed', async () => {
  await engine.close();
  await expect(engine.renew()).rejects.toThrow(EngineStopped);
});
