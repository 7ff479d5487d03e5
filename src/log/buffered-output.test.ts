import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BufferedOutput, MAX_HELD_CHARACTERS } from './buffered-output.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-log-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const LINES = Array.from({ length: 4000 }, (_, index) => `line ${index} with some words to fill it\n`);

test('lines come out whole and in order, in a few writes', async () => {
  const file = path.join(folder, 'order');
  const handle = await open(file, 'w');
  const output = new BufferedOutput(handle.fd);
  for (const line of LINES) output.write(line);
  const expected = LINES.join('');
  let text = '';
  while (text.length < expected.length) {
    await nextTurn();
    text = await readFile(file, 'utf8');
  }
  expect(text).toBe(expected);
  await handle.close();
});

test('at the end of the process everything is written', async () => {
  const file = path.join(folder, 'end');
  const handle = await open(file, 'w');
  const output = new BufferedOutput(handle.fd);
  for (const line of LINES) output.write(line);
  output.flushSync();
  const written = new Set((await readFile(file, 'utf8')).split('\n'));
  expect(LINES.filter((line) => !written.has(line.trimEnd()))).toEqual([]);
  // The write that was under way ends before its file is closed.
  await nextTurn();
  await handle.close();
});

test('when nobody reads, memory is bounded and the loss is told', async () => {
  const file = path.join(folder, 'bound');
  const handle = await open(file, 'w');
  const output = new BufferedOutput(handle.fd);
  const line = `${'x'.repeat(1023)}\n`;
  const fitting = MAX_HELD_CHARACTERS / line.length;
  // Nothing can be written before this turn of the event loop ends, except the first batch that was taken out.
  for (let count = 0; count < fitting + 100; count += 1) output.write(line);
  output.flushSync();
  const text = await readFile(file, 'utf8');
  expect(text).toMatch(/"msg":"\d+ log lines were dropped/);
  expect(text.length).toBeLessThan(MAX_HELD_CHARACTERS + 100_000);
  await nextTurn();
  await handle.close();
});

test('a reader that went away is no error', async () => {
  const handle = await open(path.join(folder, 'gone'), 'w');
  const output = new BufferedOutput(handle.fd);
  await handle.close();
  output.write('lost\n');
  output.flushSync();
});
