import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collect, draft } from '../contract.ts';
import { BEFORE_FIRST, type LogRecord } from '../event-log.ts';
import { MasterKeyProblem } from '../keyring/master-key.ts';
import { NoLog, type OpenLog, openLog, openLogReadOnly } from '../open-log.ts';
import { diskFiles, type FileSystem } from './files.ts';

let folder: string;
let log: OpenLog;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-log-'));
  log = await openLog({ folder, segmentBytes: 32 * 1024 });
});
afterEach(async () => {
  await log.close();
  await rm(folder, { recursive: true });
});

async function fill(stream: string, count: number): Promise<void> {
  const known = await log.revisionOf(stream);
  await Promise.all(Array.from({ length: count }, (_, n) => log.append(stream, known + n, [draft(`${stream} ${n}`)])));
}

const everything = async (source: { readAll(from: number): AsyncIterable<readonly LogRecord[]> }) =>
  (await collect(source.readAll(BEFORE_FIRST))).flat();

test('a reader beside the server sees what was committed, and more when it looks again', async () => {
  await fill('a', 50);
  const reader = await openLogReadOnly({ folder });
  expect(await everything(reader)).toEqual(await everything(log));
  for (let round = 0; round < 5; round++) {
    await fill('a', 120);
    await fill(`b${round}`, 30);
    expect(await reader.refresh()).toBe(log.head());
    expect(await everything(reader)).toEqual(await everything(log));
  }
  expect(await collect(reader.readStream('a', { direction: 'backwards', limit: 200 }))).toEqual(
    await collect(log.readStream('a', { direction: 'backwards', limit: 200 })),
  );
  await reader.close();
});

test('a reader that looks again and again while the server writes sees whole commits only', async () => {
  const reader = await openLogReadOnly({ folder });
  let writing = true;
  const writer = (async () => {
    for (let round = 0; round < 60; round++) await fill('a', 20);
    writing = false;
  })();
  while (writing) {
    const head = await reader.refresh();
    const seen = await everything(reader);
    expect(seen).toHaveLength(head + 1);
    expect(seen.every((record, index) => record.position === index && record.sections[1] !== null)).toBe(true);
  }
  await writer;
  expect(await reader.refresh()).toBe(log.head());
  await reader.close();
});

test('a reader that finds another record each time it looks follows the server, and takes none for damage', async () => {
  await fill('a', 10);
  let writes = 40;
  const files: FileSystem = {
    ...diskFiles,
    async open(file, mode) {
      const opened = await diskFiles.open(file, mode);
      if (!file.endsWith('.seg')) return opened;
      const read = opened.read.bind(opened);
      return Object.assign(opened, {
        read: async (into: Buffer, at: number) => {
          if (writes-- > 0) await fill('a', 1);
          return read(into, at);
        },
      });
    },
  };
  const reader = await openLogReadOnly({ folder, files });
  expect(await reader.refresh()).toBe(log.head());
  expect(writes).toBeLessThan(0);
  await reader.close();
});

test('a reader that begins before the first record finds it later', async () => {
  const reader = await openLogReadOnly({ folder });
  expect(reader.head()).toBe(BEFORE_FIRST);
  await fill('a', 1);
  expect(await reader.refresh()).toBe(0);
  await reader.close();
});

test('without keys stored records are read and nothing is opened', async () => {
  await fill('a', 3);
  await rm(path.join(folder, 'master.key'));
  await expect(openLogReadOnly({ folder })).rejects.toThrow(MasterKeyProblem);
  const reader = await openLogReadOnly({ folder, withKeys: false });
  const raw = (await collect(reader.readAllRaw(BEFORE_FIRST))).flat();
  expect(raw).toEqual((await collect(log.readAllRaw(BEFORE_FIRST))).flat());
  expect((await collect(reader.readLeaves(0))).flat()).toEqual(raw.slice(1).map((record) => record.leaf));
  expect(await reader.readRaw(2)).toEqual(raw[2]);
  await expect(reader.readAt(0)).rejects.toThrow(MasterKeyProblem);
  await reader.close();
});

test('a stored record is opened, and a destroyed key is seen after a look', async () => {
  await fill('a', 2);
  const reader = await openLogReadOnly({ folder });
  const raw = await reader.readRaw(1);
  if (raw === undefined) throw new Error('there are two records');
  expect(await reader.openRecord(raw)).toEqual(await log.readAt(1));
  await log.destroyKey(1, 1);
  await reader.refresh();
  expect((await reader.openRecord(raw)).sections[1]).toBeNull();
  await reader.close();
});

test('a folder without a log is no log', async () => {
  await expect(openLogReadOnly({ folder: path.join(folder, 'nothing') })).rejects.toThrow(NoLog);
});
