/** Compares a table of two environments byte for byte. */
import type { Database } from 'lmdb';
import type { Environment, ReadTransaction } from './environment.ts';

/** Rows between two pauses for other work. */
const ROWS_PER_TURN = 5_000;
/** Most bytes of a differing value that are shown. */
const SHOWN_BYTES = 64;

/** A row that is not the same in both. */
export interface Difference {
  /** `missing`: only the rebuilt one has it. `extra`: only the one in use has it. `different`: their values differ. */
  readonly what: 'missing' | 'extra' | 'different';
  /** The key's parts as JSON, or its bytes in hex if they are no key of this table. */
  readonly key: string;
  /** The beginning of the value in hex, and its size. */
  readonly inUse?: string;
  readonly rebuilt?: string;
}

export interface TableComparison {
  readonly table: string;
  /** Of the rebuilt one. */
  readonly rows: number;
  readonly differences: number;
  readonly first: readonly Difference[];
}

export interface CompareOptions {
  /** The moment of the environment in use. */
  readonly transaction: ReadTransaction;
  readonly maxDifferences: number;
  /** A key for people. */
  readonly describeKey: (key: Buffer) => string;
  readonly progress: {
    done: number;
    readonly total: number;
    readonly told: ((rows: number, total: number) => void) | undefined;
  };
  readonly signal?: AbortSignal;
}

type ByteTable = Database<Buffer, Buffer>;
type ByteRow = { key: Buffer; value: Buffer };
export type ByteTables = ReadonlyMap<string, ByteTable>;

/** Walks both tables side by side in key order. */
export async function compareTable(
  name: string,
  inUse: ByteTables,
  rebuilt: ByteTables,
  options: CompareOptions,
): Promise<TableComparison> {
  const { progress, signal, maxDifferences } = options;
  const left = rowsOf(inUse, name, options.transaction);
  const right = rowsOf(rebuilt, name);
  const first: Difference[] = [];
  let differences = 0;
  let rows = 0;
  const note = (what: Difference['what'], a: ByteRow | undefined, b: ByteRow | undefined): void => {
    if (differences++ >= maxDifferences) return;
    const key = options.describeKey((a ?? b)?.key ?? Buffer.alloc(0));
    first.push({ what, key, ...(a && { inUse: shown(a.value) }), ...(b && { rebuilt: shown(b.value) }) });
  };
  const walk = async (): Promise<void> => {
    let a = next(left);
    let b = next(right);
    for (let steps = 1; a !== undefined || b !== undefined; steps++) {
      const order = a === undefined ? 1 : b === undefined ? -1 : Buffer.compare(a.key, b.key);
      if (order < 0) note('extra', a, undefined);
      else if (order > 0) note('missing', undefined, b);
      else if (a !== undefined && b !== undefined && !a.value.equals(b.value)) note('different', a, b);
      if (order >= 0) {
        rows++;
        progress.done++;
        b = next(right);
      }
      if (order <= 0) a = next(left);
      if (steps % ROWS_PER_TURN === 0) {
        progress.told?.(progress.done, progress.total);
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
      }
    }
  };
  try {
    await walk();
  } finally {
    // An environment must not be closed under a cursor.
    left.return?.();
    right.return?.();
  }
  progress.told?.(progress.done, progress.total);
  return { table: name, rows, differences, first };
}

/**
 * The tables of an environment with keys as bytes. To be opened before any transaction is held: opening a table ends those
 * that are.
 */
export function openAsBytes(environment: Environment): ByteTables {
  const tables = new Map<string, ByteTable>();
  for (const { table } of environment.stores) {
    const options = { name: table.name, encoding: 'binary', keyEncoding: 'binary' } as const;
    tables.set(table.name, environment.root.openDB<Buffer, Buffer>(options));
  }
  return tables;
}

/** All rows. The iterator holds its transaction until it ends. */
function rowsOf(tables: ByteTables, name: string, transaction?: ReadTransaction): Iterator<ByteRow> {
  const table = tables.get(name);
  if (table === undefined) return [].values();
  const range = { start: undefined, end: undefined, ...(transaction && { transaction }) };
  return table.getRange(range as object)[Symbol.iterator]() as Iterator<ByteRow>;
}

function next(rows: Iterator<ByteRow>): ByteRow | undefined {
  const { done, value } = rows.next();
  return done === true ? undefined : value;
}

function shown(value: Buffer): string {
  const hex = Buffer.from(value).toString('hex', 0, SHOWN_BYTES);
  return value.length <= SHOWN_BYTES ? hex : `${hex}… (${value.length} bytes)`;
}
