import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_CHECKPOINT, Environment } from './environment.ts';
import { KeyTooLong } from './keys.ts';
import type { Projection } from './projection.ts';
import type { Reader, Writer } from './reader.ts';
import { RowReader, RowWriter } from './row-access.ts';
import { defineTable, empty, json, msgpack, raw, str, tuple, u32, u48 } from './table.ts';

const numbers = defineTable({ name: 'test.numbers', key: tuple(u32, u32), value: u48, why: 'Ranges are easy to see.' });
const values = defineTable({ name: 'test.values', key: tuple(str), value: msgpack<unknown>(), why: 'Any value.' });
const texts = defineTable({ name: 'test.texts', key: tuple(str), value: str, why: 'Strings.' });
const docs = defineTable({ name: 'test.docs', key: tuple(str), value: json<{ a: number }>(), why: 'JSON.' });
const blobs = defineTable({ name: 'test.blobs', key: tuple(u32), value: raw, why: 'Bytes of any size.' });
const marks = defineTable({ name: 'test.marks', key: tuple(raw), value: empty, why: 'Keys only.' });
const projection: Projection = {
  name: 'test',
  version: 1,
  tables: [numbers, values, texts, docs, blobs, marks],
  apply: () => undefined,
};

let dir: string;
let environment: Environment;
let reader: Reader;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-rows-'));
  environment = new Environment({ path: dir, projections: [projection] });
  reader = new RowReader(environment, () => -1);
});
afterEach(async () => {
  await environment.close();
  await rm(dir, { recursive: true, force: true });
});

function write<T>(change: (tx: Writer) => T): T {
  const writer = new RowWriter(environment);
  writer.owner = projection;
  let result: T | undefined;
  environment.commit(() => {
    result = change(writer);
    return EMPTY_CHECKPOINT;
  });
  return result as T;
}

/** Rows 10·a+b at [a, b], for a and b from 0 to 9. */
function fillNumbers(): void {
  write((tx) => {
    for (let value = 0; value < 100; value++) tx.put(numbers, [Math.floor(value / 10), value % 10], value);
  });
}

describe('values', () => {
  it('come back as they were', () => {
    const big = Buffer.alloc(17_000_000, 7);
    const value = { a: [1, 'x', null, true, -5.5], b: { c: 'ünïcödé 😀' }, d: 2 ** 40 };
    write((tx) => {
      tx.put(values, ['v'], value);
      tx.put(texts, [''], 'tëxt');
      tx.put(docs, ['d'], { a: 1 });
      tx.put(blobs, [1], Buffer.alloc(0));
      tx.put(blobs, [2], big);
      tx.put(marks, [Buffer.from([1])], true);
    });
    expect(reader.get(values, ['v'])).toEqual(value);
    expect(reader.get(texts, [''])).toBe('tëxt');
    expect(reader.get(docs, ['d'])).toEqual({ a: 1 });
    expect(reader.get(blobs, [1])).toEqual(Buffer.alloc(0));
    expect(reader.get(blobs, [2])?.equals(big)).toBe(true);
    expect([...reader.range(blobs)][1]?.value.equals(big)).toBe(true);
    expect(reader.get(marks, [Buffer.from([1])])).toBe(true);
    expect(reader.get(marks, [Buffer.from([2])])).toBeUndefined();
    expect(reader.has(marks, [Buffer.from([1])])).toBe(true);
    expect(reader.has(marks, [Buffer.from([2])])).toBe(false);
  });

  it('stay as they are while others are read', () => {
    write((tx) => {
      for (let number = 0; number < 50; number++) {
        tx.put(blobs, [number], Buffer.alloc(number, number));
        tx.put(values, [String(number)], { bytes: Buffer.alloc(number, number) });
      }
    });
    const kept = Array.from({ length: 50 }, (_, number) => reader.get(blobs, [number]));
    const inside = Array.from({ length: 50 }, (_, number) => reader.get(values, [String(number)]));
    const rows = [...reader.range(blobs)];
    for (let number = 0; number < 50; number++) {
      expect(kept[number]).toEqual(Buffer.alloc(number, number));
      expect(inside[number]).toEqual({ bytes: Buffer.alloc(number, number) });
      expect(rows[number]?.value).toEqual(Buffer.alloc(number, number));
    }
  });
});

describe('ranges', () => {
  it('give what lies between, in both directions', () => {
    fillNumbers();
    const found = (options: Parameters<typeof reader.range<readonly [number, number], number>>[1]): number[] =>
      Array.from(reader.range(numbers, options), (row) => row.value);
    expect(found({ prefix: [3] })).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39]);
    expect(found({ prefix: [3], reverse: true, limit: 2 })).toEqual([39, 38]);
    expect(found({ prefix: [3], gt: [3, 7] })).toEqual([38, 39]);
    expect(found({ gte: [3, 8], lt: [4, 1] })).toEqual([38, 39, 40]);
    expect(found({ gt: [3, 8], lte: [4, 1], reverse: true })).toEqual([41, 40, 39]);
    expect(found({ reverse: true, limit: 1 })).toEqual([99]);
    expect(found({ limit: 1 })).toEqual([0]);
    expect(found({ limit: 0 })).toEqual([]);
    expect(found({ prefix: [12] })).toEqual([]);
    expect(found({ prefix: [12], reverse: true })).toEqual([]);
    expect(found({ lt: [0, 0], reverse: true })).toEqual([]);
    expect([...reader.keys(numbers, { gte: [9, 8] })]).toEqual([
      [9, 8],
      [9, 9],
    ]);
    expect(reader.count(numbers)).toBe(100);
    expect(reader.count(numbers, { prefix: [3], lt: [3, 4] })).toBe(4);
    expect(reader.count(numbers, { limit: 7 })).toBe(7);
  });

  it('agree with a filter over all rows', () => {
    fillNumbers();
    const all = Array.from({ length: 100 }, (_, value) => value);
    const part = fc.integer({ min: 0, max: 10 });
    const bound = fc.oneof(fc.tuple(part), fc.tuple(part, part));
    const options = fc.record(
      { prefix: fc.tuple(part), gte: bound, gt: bound, lt: bound, lte: bound, reverse: fc.boolean() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(options, (chosen) => {
        // Leading parts compare as equal to every key that begins with them.
        const order = (value: number, [a, b]: readonly number[]): number =>
          Math.floor(value / 10) - (a ?? 0) || (b === undefined ? 0 : (value % 10) - b);
        const expected = all.filter(
          (value) =>
            (chosen.prefix === undefined || order(value, chosen.prefix) === 0) &&
            (chosen.gte === undefined || order(value, chosen.gte) >= 0) &&
            (chosen.gt === undefined || order(value, chosen.gt) > 0) &&
            (chosen.lt === undefined || order(value, chosen.lt) < 0) &&
            (chosen.lte === undefined || order(value, chosen.lte) <= 0),
        );
        if (chosen.reverse === true) expected.reverse();
        expect(Array.from(reader.range(numbers, chosen), (row) => row.value)).toEqual(expected);
        expect(reader.count(numbers, chosen)).toBe(expected.length);
      }),
      { numRuns: 500 },
    );
  });

  it('find nothing for strings that no key can hold', () => {
    const long = 'x'.repeat(5000);
    expect(reader.get(texts, [long])).toBeUndefined();
    expect(reader.get(texts, ['ü'.repeat(1900)])).toBeUndefined();
    expect(reader.has(texts, [long])).toBe(false);
    expect([...reader.range(texts, { prefix: [long] })]).toEqual([]);
    expect(reader.seekLast(texts, [long])).toBeUndefined();
    expect(reader.count(texts, { gte: [long] })).toBe(0);
    expect(() => write((tx) => tx.put(texts, [long], ''))).toThrow(KeyTooLong);
    expect(reader.get(texts, ['x'])).toBeUndefined();
  });

  it('can be read again, and left early', () => {
    fillNumbers();
    const range = reader.range(numbers, { prefix: [2] });
    for (const row of range) if (row.value === 22) break;
    expect([...range].length).toBe(10);
  });
});

describe('seekLast', () => {
  it('finds the last row at or before, within its prefix', () => {
    write((tx) => {
      for (const at of [10, 20, 30]) tx.put(numbers, [7, at], at);
      tx.put(numbers, [6, 99], 699);
      tx.put(numbers, [8, 1], 801);
    });
    expect(reader.seekLast(numbers, [7], [7, 25])?.value).toBe(20);
    expect(reader.seekLast(numbers, [7], [7, 20])?.key).toEqual([7, 20]);
    expect(reader.seekLast(numbers, [7])?.value).toBe(30);
    expect(reader.seekLast(numbers, [7], [7, 9])).toBeUndefined();
    expect(reader.seekLast(numbers, [5])).toBeUndefined();
    expect(reader.seekLast(numbers, [9])).toBeUndefined();
    expect(reader.seekLast(numbers, [])?.value).toBe(801);
  });
});

describe('writing', () => {
  it('sees its own rows, and nobody else does before the commit', () => {
    write((tx) => {
      tx.put(numbers, [1, 1], 5);
      expect(tx.get(numbers, [1, 1])).toBe(5);
      expect(tx.has(numbers, [1, 1])).toBe(true);
      expect(tx.count(numbers)).toBe(1);
      expect(tx.seekLast(numbers, [1])?.value).toBe(5);
      tx.put(numbers, [1, 1], 6);
      expect(tx.get(numbers, [1, 1])).toBe(6);
      expect(tx.remove(numbers, [1, 1])).toBe(true);
      expect(tx.remove(numbers, [1, 1])).toBe(false);
      expect(tx.get(numbers, [1, 1])).toBeUndefined();
      tx.put(numbers, [2, 2], 7);
    });
    expect([...reader.range(numbers)].map((row) => row.value)).toEqual([7]);
  });

  it('is undone wholly when it throws', () => {
    fillNumbers();
    expect(() =>
      write((tx) => {
        tx.removeRange(numbers, {});
        tx.put(numbers, [50, 50], 1);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(reader.count(numbers)).toBe(100);
    expect(reader.has(numbers, [50, 50])).toBe(false);
  });

  it('removes ranges of any size', () => {
    write((tx) => {
      for (let at = 0; at < 2500; at++) tx.put(numbers, [1, at], at);
    });
    expect(write((tx) => tx.removeRange(numbers, { prefix: [1], limit: 1200, reverse: true }))).toBe(1200);
    expect(reader.seekLast(numbers, [1])?.value).toBe(1299);
    expect(write((tx) => tx.removeRange(numbers, { prefix: [1] }))).toBe(1300);
    expect(write((tx) => tx.removeRange(numbers, { prefix: [1] }))).toBe(0);
  });
});
