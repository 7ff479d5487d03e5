/**
 * Declaring tables. A table is a name, a key, a value and the reason for its shape; the rows live in whatever environment
 * the projection that owns it is part of.
 */
import { bytesPart, type KeyCodec, type KeyPart, type KeyPrefix, rawPart, strPart, u32Part, u48Part } from './keys.ts';
import { rawValue, strValue, u48Value, type ValueCodec } from './values.ts';

export { type KeyPrefix, tuple } from './keys.ts';
export { empty, json, msgpack } from './values.ts';

/** An integer below 2^48 (a log position, milliseconds), in a key or as a value. */
export const u48: KeyPart<number> & ValueCodec<number> = { ...u48Part, ...u48Value };
/** An integer below 2^32, in a key. */
export const u32: KeyPart<number> = u32Part;
/** A string: of any content and in code point order in a key, well-formed as a value. */
export const str: KeyPart<string> & ValueCodec<string> = { ...strPart, ...strValue };
/** Exactly `length` bytes, in a key. */
export const bytes: (length: number) => KeyPart<Uint8Array> = bytesPart;
/** Bytes as they are: the last part of a key, or a value. */
export const raw: KeyPart<Uint8Array> & ValueCodec<Buffer> = { ...rawPart, ...rawValue };

/** A declared table with keys `K` (always a tuple, also of one part) and values `V`. */
export interface Table<K extends readonly unknown[], V> {
  /** `projection.subject`, lower case: `rooms.timeline`. Unique in its environment. */
  readonly name: string;
  readonly key: KeyCodec<K>;
  readonly value: ValueCodec<V>;
  /** One sentence: the reason for its shape. */
  readonly why: string;
  /** What saves work while records are applied; for tables whose keys are one number or one string. What is stored is the same. */
  readonly habit?: TableHabit;
  /**
   * What is shown of a row while something of it is {@link Hidden}: undefined for nothing at all. For tables whose rows hold what
   * people wrote. Not asked by `has`, `keys`, `count` and `seekLast`.
   */
  hide?(key: K, value: V, hidden: Hidden): V | undefined;
}

/** Records whose keys are destroyed and whose rows are there still: until the tables are built anew they are not shown. */
export interface Hidden {
  readonly positions: ReadonlySet<number>;
  /** SHA-256 of files that go, as hex. */
  readonly contents: ReadonlySet<string>;
  /** When the records of these files were made: milliseconds since the epoch. Others may have uploaded the same. */
  readonly contentTimes: ReadonlySet<number>;
  /** Who is being erased: what is kept under their name goes. */
  readonly users: ReadonlySet<string>;
}

/**
 * - `rewritten`: one record after the other changes or asks for the same few rows. What a batch makes of a row is written once, and
 *   rows in use are kept at hand.
 * - `reread`: the row that was written last is asked for again while the same record is applied.
 *
 * Either way a reader within `apply` may be given the very value that was put: it must be what decoding would give.
 */
export type TableHabit = 'rewritten' | 'reread';

/** Any table, where its types do not matter. */
export type AnyTable = Pick<Table<never, never>, 'name' | 'why' | 'habit'>;

/** Longest name of a table. */
const MAX_NAME_CHARACTERS = 64;
const NAME = /^[a-z][a-z0-9]*([._-][a-z0-9]+)*$/;

/** Declares a table. Throws TypeError if its name is not like `rooms.timeline`. */
export function defineTable<K extends readonly unknown[], V>(table: Table<K, V>): Table<K, V> {
  if (!NAME.test(table.name) || table.name.length > MAX_NAME_CHARACTERS) {
    throw new TypeError(`${table.name} is not a table name`);
  }
  return table;
}

/**
 * Which rows, in key order. All conditions hold together. A bound may be a whole key or its leading parts; leading parts
 * stand for every key that begins with them: `gt: [room, 5]` starts after the last key of `[room, 5, …]`, `lte: [room, 5]`
 * ends with it.
 */
export interface RangeOptions<K extends readonly unknown[]> {
  readonly prefix?: KeyPrefix<K>;
  readonly gte?: KeyPrefix<K>;
  readonly gt?: KeyPrefix<K>;
  readonly lt?: KeyPrefix<K>;
  readonly lte?: KeyPrefix<K>;
  /** From the last row to the first. */
  readonly reverse?: boolean;
  /** Most rows to give. */
  readonly limit?: number;
}
