/** Reader and Writer over an environment. */
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { type Bounds, boundsOf } from './bounds.ts';
import type { Environment, Store } from './environment.ts';
import { UnknownTable } from './errors.ts';
import { type KeyCodec, type KeyPrefix, KeyTooLong } from './keys.ts';
import type { Projection } from './projection.ts';
import type { Reader, Row, Writer } from './reader.ts';
import type { AnyTable, Hidden, RangeOptions, Table } from './table.ts';
import type { ValueCodec } from './values.ts';

/** LMDB's options for a range, as they are given to it. */
type LmdbRange = NonNullable<Parameters<Store['db']['getRange']>[0]>;
type Transaction = NonNullable<LmdbRange['transaction']>;

/** Most keys that are held while a range is removed. */
const REMOVE_CHUNK = 1000;

/** A row whose value is decoded when it is asked for. */
class LazyRow<K, V> implements Row<K, V> {
  readonly key: K;
  readonly #codec: ValueCodec<V>;
  #stored: Buffer | undefined;
  #value: V | undefined;

  constructor(codec: ValueCodec<V>, key: K, stored: Buffer) {
    this.key = key;
    this.#codec = codec;
    this.#stored = stored;
  }

  get value(): V {
    if (this.#stored !== undefined) {
      this.#value = this.#codec.decode(this.#stored, this.#stored.length);
      this.#stored = undefined;
    }
    return this.#value as V;
  }
}

/** The bounds of a range, or undefined when no key can lie in it: those that it names may be longer than any. */
function boundsIfAny<K extends readonly unknown[]>(codec: KeyCodec<K>, options: RangeOptions<K>): Bounds | undefined {
  try {
    return boundsOf(codec, options);
  } catch (error) {
    if (error instanceof KeyTooLong) return undefined;
    throw error;
  }
}

/** Reads the environment as it is, or as one transaction sees it. */
export class RowReader implements Reader {
  #environment: Environment;
  readonly #frontier: () => Position;
  readonly #transaction: Transaction | undefined;
  #lastTable: AnyTable | undefined;
  #lastStore: Store | undefined;
  /** What is not shown; undefined for nothing, as nearly always. */
  hidden: Hidden | undefined;

  constructor(environment: Environment, frontier: () => Position, transaction?: Transaction) {
    this.#environment = environment;
    this.#frontier = frontier;
    this.#transaction = transaction;
  }

  get frontier(): Position {
    return this.#frontier();
  }

  get<K extends readonly unknown[], V>(table: Table<K, V>, key: K): V | undefined {
    const stored = this.#fetch(table, key);
    if (stored === undefined) return undefined;
    const value = table.value.decode(stored, stored.length);
    return this.hidden === undefined || table.hide === undefined ? value : table.hide(key, value, this.hidden);
  }

  has<K extends readonly unknown[], V>(table: Table<K, V>, key: K): boolean {
    return this.#fetch(table, key) !== undefined;
  }

  range<K extends readonly unknown[], V>(table: Table<K, V>, options: RangeOptions<K> = {}): Iterable<Row<K, V>> {
    const range = this.#rangeOf(table, options);
    if (range === undefined) return [];
    const { db } = this.store(table);
    const { hidden } = this;
    if (hidden !== undefined && table.hide !== undefined) {
      // Who asks for so many rows and gets fewer takes it that there are no more.
      const { limit = Number.POSITIVE_INFINITY, ...unlimited } = range;
      return this.#shown(table, unlimited, limit, hidden);
    }
    return {
      *[Symbol.iterator]() {
        for (const { key, value } of db.getRange(range))
          yield new LazyRow<K, V>(table.value, key as unknown as K, value);
      },
    };
  }

  /** The rows of a range, without what is hidden; at most so many. */
  #shown<K extends readonly unknown[], V>(
    table: Table<K, V>,
    range: LmdbRange,
    limit: number,
    hidden: Hidden,
  ): Iterable<Row<K, V>> {
    const { db } = this.store(table);
    return {
      *[Symbol.iterator]() {
        let left = limit;
        for (const { key: stored, value } of db.getRange(range)) {
          const key = stored as unknown as K;
          const decoded = table.value.decode(value, value.length);
          const shown = table.hide === undefined ? decoded : table.hide(key, decoded, hidden);
          if (shown === undefined) continue;
          yield { key, value: shown };
          if (--left === 0) return;
        }
      },
    };
  }

  keys<K extends readonly unknown[], V>(table: Table<K, V>, options: RangeOptions<K> = {}): Iterable<K> {
    const range = this.#rangeOf(table, options);
    return range === undefined ? [] : (this.store(table).db.getKeys(range) as Iterable<unknown> as Iterable<K>);
  }

  count<K extends readonly unknown[], V>(table: Table<K, V>, options: RangeOptions<K> = {}): number {
    const { limit, ...rest } = options;
    const range = this.#rangeOf(table, rest);
    if (range === undefined) return 0;
    const count = this.store(table).db.getKeysCount(range);
    return limit === undefined ? count : Math.min(limit, count);
  }

  seekLast<K extends readonly unknown[], V>(
    table: Table<K, V>,
    prefix: KeyPrefix<K>,
    upTo?: KeyPrefix<K>,
  ): Row<K, V> | undefined {
    const conditions = upTo === undefined ? { prefix } : { prefix, lte: upTo };
    const range = this.#rangeOf(table, { ...conditions, reverse: true, limit: 1 });
    if (range === undefined) return undefined;
    for (const { key, value } of this.store(table).db.getRange(range)) {
      return new LazyRow<K, V>(table.value, key as unknown as K, value);
    }
    return undefined;
  }

  /** Reads another environment from now on: one of the same projections that has taken the place of this one. */
  switchTo(environment: Environment): void {
    this.#environment = environment;
    this.#lastTable = undefined;
    this.#lastStore = undefined;
  }

  /** Throws {@link UnknownTable} if this environment does not have the table. */
  store(table: AnyTable): Store {
    if (table === this.#lastTable && this.#lastStore !== undefined) return this.#lastStore;
    const store = this.#environment.store(table);
    if (store === undefined)
      throw new UnknownTable(`no projection of ${this.#environment.path} has table ${table.name}`);
    this.#lastTable = table;
    this.#lastStore = store;
    return store;
  }

  /** The stored value, valid until the next read. */
  #fetch<K extends readonly unknown[]>(table: Table<K, unknown>, key: K): Buffer | undefined {
    const { db } = this.store(table);
    // LMDB's types know no tuples as keys.
    const options = this.#transaction === undefined ? undefined : { transaction: this.#transaction };
    try {
      return (db.getBinaryFast as (key: unknown, options?: object) => Buffer | undefined).call(db, key, options);
    } catch (error) {
      if (error instanceof KeyTooLong) return undefined;
      throw error;
    }
  }

  #rangeOf<K extends readonly unknown[]>(table: Table<K, unknown>, options: RangeOptions<K>): LmdbRange | undefined {
    const bounds = boundsIfAny(table.key, options);
    if (bounds === undefined || options.limit === 0) return undefined;
    const range: LmdbRange =
      options.reverse === true
        ? { start: bounds.upper, exclusiveStart: true, end: bounds.lower, inclusiveEnd: true, reverse: true }
        : { start: bounds.lower, end: bounds.upper };
    if (options.limit !== undefined) range.limit = options.limit;
    if (this.#transaction !== undefined) range.transaction = this.#transaction;
    return range;
  }
}

/** Rows of `rewritten` tables that are kept at hand from one batch to the next; beyond it all are let go. */
const MAX_ROWS_AT_HAND = 4096;

/** A row of a `rewritten` table; its value is undefined where there is none. */
interface RowAtHand {
  readonly key: readonly unknown[];
  value: unknown;
  isChanged: boolean;
}

/** A table whose types do not matter. */
type PlainTable = Table<readonly unknown[], unknown>;

/**
 * Writes within a transaction of the environment, on behalf of one projection at a time. Where it gathers, nobody else may write
 * the environment, {@link flush} has to be called at the end of each transaction, and {@link forget} where one came to nothing.
 */
export class RowWriter extends RowReader implements Writer {
  /** The projection being applied. */
  owner: Projection | undefined;
  /** Who is to be woken, since it was last taken. */
  touched = new Set<string>();
  /** The record being applied: what a reader within `apply` sees the rows of, once it is done. */
  position: Position = BEFORE_FIRST;
  readonly #gathers: boolean;
  /** Rows of the `rewritten` tables, by the one part of their keys. */
  readonly #atHand = new Map<AnyTable, Map<unknown, RowAtHand>>();
  #rowsAtHand = 0;
  /** Those that are to be written. */
  #changed: { readonly table: PlainTable; readonly row: RowAtHand }[] = [];
  /** The row of a `reread` table that was written last for this record. */
  #lastPut: { readonly table: AnyTable; readonly key: unknown; readonly value: unknown } | undefined;

  /** @param gathers whether the habits of tables are made use of; otherwise each row is written when it is put. */
  constructor(environment: Environment, gathers = false) {
    super(environment, () => this.position);
    this.#gathers = gathers;
  }

  override get<K extends readonly unknown[], V>(table: Table<K, V>, key: K): V | undefined {
    if (table.habit === undefined || !this.#gathers) return super.get(table, key);
    if (table.habit === 'rewritten') return this.#rowAtHand(table, key).value as V | undefined;
    const last = this.#lastPut;
    return last?.table === table && last.key === key[0] ? (last.value as V) : super.get(table, key);
  }

  override has<K extends readonly unknown[], V>(table: Table<K, V>, key: K): boolean {
    return table.habit === 'rewritten' && this.#gathers
      ? this.#rowAtHand(table, key).value !== undefined
      : super.has(table, key);
  }

  override range<K extends readonly unknown[], V>(table: Table<K, V>, options?: RangeOptions<K>): Iterable<Row<K, V>> {
    this.#flushBefore(table);
    return super.range(table, options);
  }

  override keys<K extends readonly unknown[], V>(table: Table<K, V>, options?: RangeOptions<K>): Iterable<K> {
    this.#flushBefore(table);
    return super.keys(table, options);
  }

  override count<K extends readonly unknown[], V>(table: Table<K, V>, options?: RangeOptions<K>): number {
    this.#flushBefore(table);
    return super.count(table, options);
  }

  override seekLast<K extends readonly unknown[], V>(
    table: Table<K, V>,
    prefix: KeyPrefix<K>,
    upTo?: KeyPrefix<K>,
  ): Row<K, V> | undefined {
    this.#flushBefore(table);
    return super.seekLast(table, prefix, upTo);
  }

  put<K extends readonly unknown[], V>(table: Table<K, V>, key: K, value: V): void {
    const { db } = this.#owned(table);
    if (table.habit !== undefined && this.#gathers) {
      if (table.habit === 'rewritten') {
        this.#change(table, key, value);
        return;
      }
      this.#lastPut = { table, key: key[0], value };
    }
    (db.putSync as (key: unknown, value: Uint8Array) => void).call(db, key, table.value.encode(value));
  }

  remove<K extends readonly unknown[], V>(table: Table<K, V>, key: K): boolean {
    const { db } = this.#owned(table);
    if (table.habit !== undefined && this.#gathers) {
      if (table.habit === 'rewritten') return this.#change(table, key, undefined);
      if (this.#lastPut?.table === table) this.#lastPut = undefined;
    }
    return (db.removeSync as (key: unknown) => boolean).call(db, key);
  }

  /** Takes note of which record is applied from now on. */
  begin(position: Position): void {
    this.position = position;
    this.#lastPut = undefined;
  }

  /** Writes what was gathered. */
  flush(): void {
    for (const { table, row } of this.#changed) {
      const { db } = this.store(table);
      row.isChanged = false;
      if (row.value === undefined) (db.removeSync as (key: unknown) => boolean).call(db, row.key);
      else {
        (db.putSync as (key: unknown, value: Uint8Array) => void).call(db, row.key, table.value.encode(row.value));
      }
    }
    this.#changed = [];
    if (this.#rowsAtHand > MAX_ROWS_AT_HAND) this.forget();
  }

  /** Lets go of what was gathered, written or not. */
  forget(): void {
    this.#changed = [];
    this.#lastPut = undefined;
    this.#atHand.clear();
    this.#rowsAtHand = 0;
  }

  #rowAtHand<K extends readonly unknown[], V>(table: Table<K, V>, key: K): RowAtHand {
    let rows = this.#atHand.get(table);
    if (rows === undefined) {
      rows = new Map();
      this.#atHand.set(table, rows);
    }
    let row = rows.get(key[0]);
    if (row === undefined) {
      row = { key, value: super.get(table, key), isChanged: false };
      rows.set(key[0], row);
      this.#rowsAtHand += 1;
    }
    return row;
  }

  /** Gives whether there was such a row. */
  #change<K extends readonly unknown[], V>(table: Table<K, V>, key: K, value: V | undefined): boolean {
    const row = this.#rowAtHand(table, key);
    const wasThere = row.value !== undefined;
    row.value = value;
    if (!row.isChanged) {
      row.isChanged = true;
      this.#changed.push({ table: table as unknown as PlainTable, row });
    }
    return wasThere;
  }

  /** Ranges are read from what is written. */
  #flushBefore(table: AnyTable): void {
    if (table.habit === 'rewritten' && this.#changed.length > 0) this.flush();
  }

  removeRange<K extends readonly unknown[], V>(table: Table<K, V>, options: RangeOptions<K>): number {
    let removed = 0;
    for (;;) {
      const limit = Math.min(REMOVE_CHUNK, (options.limit ?? Number.POSITIVE_INFINITY) - removed);
      const keys = [...this.keys(table, { ...options, limit })];
      for (const key of keys) this.remove(table, key);
      removed += keys.length;
      if (keys.length < REMOVE_CHUNK) return removed;
    }
  }

  touch(topic: string): void {
    this.touched.add(topic);
  }

  #owned(table: AnyTable): Store {
    const store = this.store(table);
    if (store.owner !== this.owner) {
      throw new UnknownTable(
        `table ${table.name} belongs to ${store.owner.name}, not to ${this.owner?.name ?? 'anyone'}`,
      );
    }
    return store;
  }
}
