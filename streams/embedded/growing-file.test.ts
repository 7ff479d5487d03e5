import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FaultyFiles } from './faulty-files.test-support.ts';
import type { OpenFile } from './files.ts';
import { GrowingFile } from './growing-file.ts';

const STEP = 1024;
let folder: string;
let files: FaultyFiles;
let file: OpenFile;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-growing-'));
  files = new FaultyFiles();
  file = await files.open(path.join(folder, 'file'), 'create');
});
afterEach(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

test('what was written while the file was growing is not overwritten with zeros', async () => {
  const growing = new GrowingFile(file, 0, STEP);
  const release = files.hang('write', /file$/);
  const first = growing.reserve(100);
  // Somebody gave up waiting for the first; the next one must not grow beside it.
  const second = growing.reserve(200).then(() => file.write(Buffer.alloc(200, 7), 0));
  release();
  await Promise.all([first, second]);
  await growing.settled();
  const bytes = Buffer.alloc(STEP);
  expect(await file.read(bytes, 0)).toBe(STEP);
  expect(bytes.subarray(0, 200)).toEqual(Buffer.alloc(200, 7));
  expect(bytes.subarray(200)).toEqual(Buffer.alloc(STEP - 200));
});

test('it grows by steps, ahead up to a limit, and again after it was cut', async () => {
  const growing = new GrowingFile(file, 0, STEP);
  await growing.reserve(1);
  expect(await file.size()).toBe(STEP);
  await growing.reserve(STEP);
  expect(await file.size()).toBe(STEP);
  growing.growAhead(STEP, 10 * STEP);
  await growing.settled();
  expect(await file.size()).toBe(2 * STEP);
  growing.growAhead(STEP, 10 * STEP);
  growing.growAhead(2 * STEP, 2 * STEP);
  await growing.settled();
  expect(await file.size()).toBe(2 * STEP);
  await growing.cut(10);
  expect(await file.size()).toBe(10);
  await growing.reserve(5 * STEP);
  expect(await file.size()).toBe(5 * STEP);
});

test('a failure to grow ahead is met only by who needs the room', async () => {
  const growing = new GrowingFile(file, 0, STEP);
  await growing.reserve(1);
  files.fail({ on: 'write', code: 'ENOSPC', times: 2 });
  growing.growAhead(STEP, 10 * STEP);
  await growing.settled();
  await growing.reserve(STEP);
  await expect(growing.reserve(STEP + 1)).rejects.toThrow('ENOSPC');
  await growing.reserve(STEP + 1);
});

test('the part of a step for which there was room is used', async () => {
  const step = 1024 * 1024;
  const growing = new GrowingFile(file, 0, step);
  await growing.reserve(1);
  files.fail({ on: 'write', code: 'ENOSPC', skip: 1 });
  await growing.reserve(step + 100);
  const room = await file.size();
  expect(room).toBeLessThan(2 * step);
  files.fail({ on: 'write', code: 'ENOSPC' });
  await growing.reserve(room);
  await expect(growing.reserve(room + 1)).rejects.toThrow('ENOSPC');
});
