import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collect, draft } from '../contract.ts';
import { BEFORE_FIRST, Damaged } from '../event-log.ts';
import { type OpenLog, openLog, openLogReadOnly } from '../open-log.ts';
import type { ReadOnlyLog } from '../raw-log.ts';
import { logPaths } from './paths.ts';
import { BATCHES_AHEAD, readAhead } from './read-ahead.ts';

const RECORDS = 600;
const PER_COMMIT = 20;

let folder: string;
let log: OpenLog;
let reader: ReadOnlyLog;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-log-'));
  // A segment gives a batch at least: there are more than lie ready at a time.
  log = await openLog({ folder, segmentBytes: 4 * 1024 });
  for (let next = 0; next < RECORDS; next += PER_COMMIT) {
    const drafts = Array.from({ length: PER_COMMIT }, (_, n) => draft(`record ${next + n}`));
    await log.append('a', next - 1, drafts);
  }
  await log.destroyKey(7, 1);
  reader = await openLogReadOnly({ folder });
});
afterEach(async () => {
  await reader.close();
  await log.close();
  await rm(folder, { recursive: true });
});

test('gives what reading in the same thread gives, without the sections whose key is destroyed', async () => {
  const layout = reader.layout();
  expect(layout.segments.length).toBeGreaterThan(2 * BATCHES_AHEAD);
  const to = reader.head();
  const ahead = (await collect(readAhead({ layout, from: BEFORE_FIRST, to }))).flat();
  expect(ahead).toEqual((await collect(log.readAll(BEFORE_FIRST))).flat());
  expect(ahead[7]?.sections[1]).toBeNull();
  const some = (await collect(readAhead({ layout, from: 99, to: 199 }))).flat();
  expect(some.map(({ position }) => position)).toEqual(Array.from({ length: 100 }, (_, n) => 100 + n));
});

test('ends when nobody wants more', async () => {
  for await (const batch of readAhead({ layout: reader.layout(), from: BEFORE_FIRST, to: reader.head() })) {
    expect(batch[0]?.position).toBe(0);
    break;
  }
});

test('says what is damaged, after what is in front of it', async () => {
  const layout = reader.layout();
  const segments = logPaths(folder).segments;
  const names = (await readdir(segments)).filter((name) => name.endsWith('.seg')).sort();
  const damaged = path.join(segments, names[20] ?? '');
  const file = await open(damaged, 'r+');
  await file.write(Buffer.from([0xff, 0xff]), 0, 2, 200);
  await file.close();
  const seen: number[] = [];
  const reading = (async () => {
    for await (const batch of readAhead({ layout, from: BEFORE_FIRST, to: reader.head() })) {
      seen.push(...batch.map(({ position }) => position));
    }
  })();
  const error = await reading.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Damaged);
  expect((error as Damaged).message).toContain(damaged);
  expect(seen.at(-1)).toBeGreaterThanOrEqual(Number(path.parse(damaged).name) - 1);
  expect(seen).toEqual(seen.map((_, n) => n));
});

test('says that the keys are not there', async () => {
  const layout = { ...reader.layout(), masterKeyFile: path.join(folder, 'none.key') };
  await expect(collect(readAhead({ layout, from: BEFORE_FIRST, to: 5 }))).rejects.toThrow('none.key is missing');
});
