import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EMPTY_CHECKPOINT, Environment } from './environment.ts';
import type { Projection } from './projection.ts';
import { RowReader, RowWriter } from './row-access.ts';
import { defineTable, msgpack, tuple, u32, u48 } from './table.ts';

const plain = defineTable({
  name: 'test.plain',
  key: tuple(u48),
  value: msgpack<number[]>(),
  why: 'What is compared with.',
});
const rewritten = defineTable({ ...plain, name: 'test.rewritten', habit: 'rewritten' });
const reread = defineTable({ ...plain, name: 'test.reread', habit: 'reread' });
const pairs = defineTable({ name: 'test.pairs', key: tuple(u32, u32), value: u48, why: 'Written at once.' });
const projection: Projection = {
  name: 'test',
  version: 1,
  tables: [plain, rewritten, reread, pairs],
  apply: () => undefined,
};

let dir: string;
let environment: Environment;
let writer: RowWriter;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-gathering-'));
  environment = new Environment({ path: dir, projections: [projection] });
  writer = new RowWriter(environment, true);
  writer.owner = projection;
});
afterEach(async () => {
  await environment.close();
  await rm(dir, { recursive: true, force: true });
});

function commit(change: () => void): void {
  environment.commit(() => {
    change();
    writer.flush();
    return EMPTY_CHECKPOINT;
  });
}

const action = fc.record({
  do: fc.constantFrom('put', 'remove', 'get', 'has', 'range', 'count', 'last', 'removeRange', 'record', 'commit'),
  key: fc.nat({ max: 5 }),
  value: fc.array(fc.nat(), { maxLength: 2 }),
});

test('a table with a habit reads and stores what one without would', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      let position = 0;
      const step = ({ do: what, key, value }: (typeof actions)[number]): void => {
        const [wanted, ...others] = [plain, rewritten, reread].map((table) => {
          switch (what) {
            case 'put':
              return writer.put(table, [key], value);
            case 'remove':
              return writer.remove(table, [key]);
            case 'get':
              return writer.get(table, [key]);
            case 'has':
              return writer.has(table, [key]);
            case 'range':
              return [...writer.range(table, { gte: [key] })].map((row) => [row.key, row.value]);
            case 'count':
              return [writer.count(table), [...writer.keys(table)]];
            case 'last':
              return writer.seekLast(table, [])?.value;
            case 'removeRange':
              return writer.removeRange(table, { gte: [key] });
            default:
              return undefined;
          }
        });
        for (const other of others) expect(other).toEqual(wanted);
        if (what === 'record') writer.begin(++position);
      };
      while (actions.length > 0) {
        const end = actions.findIndex((one) => one.do === 'commit');
        const batch = actions.splice(0, end < 0 ? actions.length : end + 1);
        commit(() => batch.forEach(step));
      }
      const reader = new RowReader(environment, () => -1);
      const rowsOf = (table: typeof plain) => [...reader.range(table)].map((row) => [row.key, row.value]);
      expect(rowsOf(rewritten)).toEqual(rowsOf(plain));
      expect(rowsOf(reread)).toEqual(rowsOf(plain));
    }),
    { numRuns: 200 },
  );
});

test('nothing is kept of a batch that came to nothing', () => {
  commit(() => writer.put(rewritten, [1], [1]));
  expect(() =>
    commit(() => {
      writer.put(rewritten, [1], [2]);
      writer.put(rewritten, [2], [2]);
      throw new Error('no');
    }),
  ).toThrow('no');
  writer.forget();

  commit(() => {
    expect(writer.get(rewritten, [1])).toEqual([1]);
    expect(writer.has(rewritten, [2])).toBe(false);
  });
});

test('others read what a batch made of a row once it is committed', () => {
  const reader = new RowReader(environment, () => -1);
  commit(() => {
    for (let value = 0; value < 10; value++) writer.put(rewritten, [1], [value]);
    expect(reader.get(rewritten, [1])).toBeUndefined();
  });

  expect(reader.get(rewritten, [1])).toEqual([9]);
});
