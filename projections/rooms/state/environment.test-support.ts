import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY_CHECKPOINT, Environment } from '#projections/engine/environment.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { RowReader, RowWriter } from '#projections/engine/row-access.ts';
import { authChainTables } from '../auth-chains/index.ts';
import { roomTables } from '../tables.ts';
import { stateTables } from './index.ts';

/** Rooms' tables without the projection that fills them. */
export interface TestTables {
  readonly reader: Reader;
  /** Runs in a transaction of its own. */
  write<T>(change: (tx: Writer) => T): T;
  /** How many rows all the tables have. */
  rowCount(): number;
  close(): Promise<void>;
}

export async function openTables(): Promise<TestTables> {
  const path = await mkdtemp(join(tmpdir(), 'stele-rooms-'));
  const tables = [...new Set([...roomTables, ...stateTables, ...authChainTables])];
  const projection: Projection = { name: 'rooms', version: 1, tables, apply: () => undefined };
  const environment = new Environment({ path, projections: [projection] });
  const writer = new RowWriter(environment);
  writer.owner = projection;
  return {
    reader: new RowReader(environment, () => 0),
    write(change) {
      let result: ReturnType<typeof change> | undefined;
      environment.commit(() => {
        result = change(writer);
        return EMPTY_CHECKPOINT;
      });
      return result as ReturnType<typeof change>;
    },
    rowCount: () => environment.rowCount(),
    async close() {
      await environment.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** A reader that counts: one for each row that is given, one for each that is sought. */
export function countingReader(reader: Reader): { readonly reader: Reader; count: number } {
  const counting = { reader, count: 0 };
  function* counted<T>(rows: Iterable<T>): Generator<T> {
    for (const row of rows) {
      counting.count += 1;
      yield row;
    }
  }
  const seek = <T>(row: T): T => {
    counting.count += 1;
    return row;
  };
  return Object.assign(counting, {
    reader: {
      frontier: reader.frontier,
      get: (table, key) => seek(reader.get(table, key)),
      has: (table, key) => seek(reader.has(table, key)),
      range: (table, options) => counted(reader.range(table, options)),
      keys: (table, options) => counted(reader.keys(table, options)),
      count: (table, options) => seek(reader.count(table, options)),
      seekLast: (table, prefix, upTo) => seek(reader.seekLast(table, prefix, upTo)),
    } satisfies Reader,
  });
}
