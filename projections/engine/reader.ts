/** Reading and writing rows. */
import type { Position } from '#streams/event-log.ts';
import type { KeyPrefix } from './keys.ts';
import type { RangeOptions, Table } from './table.ts';

/** A row of a range. The value is decoded when it is first asked for. */
export interface Row<K, V> {
  readonly key: K;
  readonly value: V;
}

/**
 * Reads rows of one environment. Everything read in one synchronous run is of one moment of the log, `frontier`; after an
 * `await` it may be a later one. Iterate within one synchronous run, or use a snapshot.
 *
 * Throws UnknownTable for a table of no projection of this environment, RangeError for a number that its key part cannot
 * hold. A string that is too long for any key is simply not found; a range bounded by one is empty.
 */
export interface Reader {
  /** Position of the last record whose rows are seen; BEFORE_FIRST (-1) before any. */
  readonly frontier: Position;
  get<K extends readonly unknown[], V>(table: Table<K, V>, key: K): V | undefined;
  has<K extends readonly unknown[], V>(table: Table<K, V>, key: K): boolean;
  /** The rows in key order. The iterable can be iterated again and then reads again. */
  range<K extends readonly unknown[], V>(table: Table<K, V>, options?: RangeOptions<K>): Iterable<Row<K, V>>;
  /** The keys only, without touching values. */
  keys<K extends readonly unknown[], V>(table: Table<K, V>, options?: RangeOptions<K>): Iterable<K>;
  count<K extends readonly unknown[], V>(table: Table<K, V>, options?: RangeOptions<K>): number;
  /**
   * The last row that begins with `prefix` and is at or before `upTo` (a whole key or leading parts, as in
   * {@link RangeOptions}); without `upTo` the last row of the prefix. The state of a key at a version is this.
   */
  seekLast<K extends readonly unknown[], V>(
    table: Table<K, V>,
    prefix: KeyPrefix<K>,
    upTo?: KeyPrefix<K>,
  ): Row<K, V> | undefined;
}

/**
 * What `apply` gets: reads see the rows that this batch has written so far. Only tables of the projection being applied can
 * be written; those of the others in the environment can be read.
 */
export interface Writer extends Reader {
  /** Throws KeyTooLong when strings of the key are too long for a table: bound what clients choose before it is recorded. */
  put<K extends readonly unknown[], V>(table: Table<K, V>, key: K, value: V): void;
  /** Whether there was such a row. */
  remove<K extends readonly unknown[], V>(table: Table<K, V>, key: K): boolean;
  /** Removes rows, returns how many. */
  removeRange<K extends readonly unknown[], V>(table: Table<K, V>, options: RangeOptions<K>): number;
  /** Names who is to be woken once this batch is committed: `room:<id>`, `user:<id>`. Nothing is stored. */
  touch(topic: string): void;
}
