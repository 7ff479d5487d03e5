/** `events.parquet`: the rows of the CSV with their types, for analysts. */
import { rename } from 'node:fs/promises';
import { fileWriter, parquetWriteRows } from 'hyparquet-writer';
import { syncPath } from '#projections/engine/durable-files.ts';
import type { Entry } from '../event-index.ts';
import { type Cell, COLUMNS, type Column } from './table-rows.ts';

/** Rows in memory at a time. */
const ROWS_A_GROUP = 20_000;
/** What a time in Parquet can be. */
const MAX_DATE_MS = 8_640_000_000_000_000;

const TYPES = { text: 'STRING', integer: 'INT64', boolean: 'BOOLEAN', time: 'TIMESTAMP' } as const;

/** Writes the file. The same entries give the same bytes. */
export async function writeParquet(
  path: string,
  entries: Iterable<Entry>,
  sha256OfMedia: ReadonlyMap<string, string>,
): Promise<void> {
  await parquetWriteRows({
    writer: fileWriter(`${path}.new`),
    rows: rowsOf(entries, sha256OfMedia),
    columns: COLUMNS.map(({ name, type }) => ({ name, type: TYPES[type], nullable: true })),
    rowGroupSize: ROWS_A_GROUP,
    createdBy: 'stele',
  });
  await syncPath(`${path}.new`);
  await rename(`${path}.new`, path);
}

function* rowsOf(
  entries: Iterable<Entry>,
  sha256OfMedia: ReadonlyMap<string, string>,
): Generator<Record<string, unknown>> {
  for (const entry of entries) {
    yield Object.fromEntries(
      COLUMNS.map((column) => [column.name, parquetValue(column, column.of(entry, sha256OfMedia))]),
    );
  }
}

function parquetValue({ type }: Column, cell: Cell): unknown {
  if (cell === null) return null;
  if (type === 'integer') return BigInt(cell);
  if (type === 'time') return Math.abs(Number(cell)) <= MAX_DATE_MS ? new Date(Number(cell)) : null;
  return cell;
}
