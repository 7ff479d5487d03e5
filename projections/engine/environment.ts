/**
 * One LMDB environment: the tables of a set of projections and the checkpoint that says which record of the log they have
 * seen. Rows and checkpoint change in one transaction. Nothing here waits for the disk; see folder.ts for what makes that safe.
 */
import { mkdirSync } from 'node:fs';
import { crc32 } from '@node-rs/crc32';
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import { EnvironmentDamaged } from './errors.ts';
import { fingerprintOf, type Projection } from './projection.ts';
import type { AnyTable, Table } from './table.ts';

/** Address space that is mapped at first. LMDB maps twice what it needs whenever it needs more; nothing is preallocated. */
const INITIAL_MAP_BYTES = 256 * 1024 * 1024;
/** Tables beside those that are declared: the root. */
const ROOM_FOR_TABLES = 4;
/** Threads and processes that may read at the same time. */
const MAX_READERS = 256;
/** Key of the checkpoint in the root table; no table can have this name. */
const CHECKPOINT_KEY = Buffer.from('!checkpoint');
const CHECKPOINT_BYTES = 1 + 6 + 6 + 16 + 4;
const CHECKPOINT_FORMAT = 1;
const RECORD_ID_BYTES = 16;

/** How far an environment has come. */
export interface Checkpoint {
  readonly position: Position;
  /** Records applied since the environment was empty. */
  readonly count: number;
  /** The id of the record at `position`, so that an environment is recognised as one of another log; zeros before any. */
  readonly recordId: Uint8Array;
}

export const EMPTY_CHECKPOINT: Checkpoint = {
  position: BEFORE_FIRST,
  count: 0,
  recordId: new Uint8Array(RECORD_ID_BYTES),
};

/** One moment of an environment; held until `done`. */
export type ReadTransaction = Transaction;

/** The stored form of one table. */
export interface Store {
  readonly table: Table<readonly unknown[], unknown>;
  /** The projection that may write it. */
  readonly owner: Projection;
  readonly db: StoreDatabase;
}

/** Keys go in as tuples or as encoded bytes, and come out as tuples; values come out as copies. */
export type StoreDatabase = Database<Buffer, never[]>;

export interface EnvironmentOptions {
  /** The folder; made if it is not there. */
  readonly path: string;
  readonly projections: readonly Projection[];
  readonly readOnly?: boolean;
  /** Default {@link INITIAL_MAP_BYTES}. */
  readonly mapBytes?: number;
}

/** An open environment. Synchronous throughout, except `copyTo` and `close`. */
export class Environment {
  readonly path: string;
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly #stores = new Map<AnyTable, Store>();
  readonly #fingerprint: number;
  readonly #checkpointRow = Buffer.alloc(CHECKPOINT_BYTES);

  /** Throws {@link EnvironmentDamaged} or LMDB's own error if the files cannot be used. */
  constructor(options: EnvironmentOptions) {
    this.path = options.path;
    this.#fingerprint = crc32(fingerprintOf(options.projections));
    if (options.readOnly !== true) mkdirSync(options.path, { recursive: true });
    const tableCount = options.projections.reduce((sum, projection) => sum + projection.tables.length, 0);
    this.root = open<Buffer, Buffer>({
      path: options.path,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      noSync: true,
      overlappingSync: false,
      readOnly: options.readOnly ?? false,
      mapSize: options.mapBytes ?? INITIAL_MAP_BYTES,
      maxDbs: tableCount + ROOM_FOR_TABLES,
      maxReaders: MAX_READERS,
    });
    try {
      for (const projection of options.projections) {
        for (const table of projection.tables) this.#open(table as Table<readonly unknown[], unknown>, projection);
      }
    } catch (error) {
      void this.root.close();
      throw error;
    }
  }

  get stores(): Iterable<Store> {
    return this.#stores.values();
  }

  /** The stored form of a table, or undefined if it is of no projection of this environment. */
  store(table: AnyTable): Store | undefined {
    return this.#stores.get(table);
  }

  /** How many rows all tables have. */
  rowCount(): number {
    let count = 0;
    for (const { db } of this.#stores.values()) count += (db.getStats() as { entryCount: number }).entryCount;
    return count;
  }

  /** A key of a table for people: its parts as JSON, bytes in hex. */
  describeKey(tableName: string, key: Buffer): string {
    const codec = this.#stores.values().find(({ table }) => table.name === tableName)?.table.key;
    try {
      const parts = codec?.read(key, 0, key.length).map((part) => (part instanceof Uint8Array ? hex(part) : part));
      return parts === undefined ? hex(key) : JSON.stringify(parts);
    } catch {
      return hex(key);
    }
  }

  /** Throws {@link EnvironmentDamaged} if the row is not what was written, or was written by other projections. */
  readCheckpoint(transaction?: ReadTransaction): Checkpoint {
    // LMDB's types do not know that a single read takes a transaction too.
    const read = this.root.getBinary as (key: Buffer, options?: object) => Buffer | undefined;
    const row = read.call(this.root, CHECKPOINT_KEY, transaction && { transaction });
    if (row === undefined) return EMPTY_CHECKPOINT;
    if (row.length !== CHECKPOINT_BYTES || row[0] !== CHECKPOINT_FORMAT) {
      throw new EnvironmentDamaged(`the checkpoint in ${this.path} is unreadable`);
    }
    const bytes = Buffer.from(row);
    if (bytes.readUInt32BE(CHECKPOINT_BYTES - 4) !== this.#checksum(bytes)) {
      throw new EnvironmentDamaged(`the checkpoint in ${this.path} does not match its checksum`);
    }
    return {
      position: bytes.readUIntBE(1, 6) - 1,
      count: bytes.readUIntBE(7, 6),
      recordId: bytes.subarray(13, 13 + RECORD_ID_BYTES),
    };
  }

  /** Runs `change` and stores what it returns as checkpoint, all or nothing. */
  commit(change: () => Checkpoint): Checkpoint {
    return this.root.transactionSync(() => {
      const checkpoint = change();
      const row = this.#checkpointRow;
      row[0] = CHECKPOINT_FORMAT;
      row.writeUIntBE(checkpoint.position + 1, 1, 6);
      row.writeUIntBE(checkpoint.count, 7, 6);
      row.set(checkpoint.recordId, 13);
      row.writeUInt32BE(this.#checksum(row), CHECKPOINT_BYTES - 4);
      this.root.putSync(CHECKPOINT_KEY, row);
      return checkpoint;
    });
  }

  /** Writes a compacted copy of one moment into another folder, off the event loop. It is not synced. */
  async copyTo(folder: string): Promise<void> {
    mkdirSync(folder, { recursive: true });
    await this.root.backup(folder, true);
  }

  async close(): Promise<void> {
    await this.root.close();
  }

  #checksum(row: Buffer): number {
    return crc32(row.subarray(0, CHECKPOINT_BYTES - 4), this.#fingerprint);
  }

  #open(table: Table<readonly unknown[], unknown>, owner: Projection): void {
    const codec = table.key;
    const options: object = {
      encoding: 'binary',
      keyEncoder: {
        writeKey(key: readonly unknown[] | Uint8Array, target: Buffer, at: number): number {
          if (!(key instanceof Uint8Array)) return codec.write(key as never, target, at);
          target.set(key, at);
          return at + key.length;
        },
        readKey: (source: Buffer, start: number, end: number) => codec.read(source, start, end),
      },
      encoder: {
        encode: (value: Uint8Array) => value,
        // What LMDB hands over is overwritten by the next read.
        decode: (stored: Uint8Array, length: number) => Buffer.copyBytesFrom(stored, 0, length),
      },
    };
    // The key encoder is declared as anything at all, for the root only.
    const db = this.root.openDB<Buffer, never[]>(table.name, options);
    if (db === undefined) throw new EnvironmentDamaged(`table ${table.name} is missing in ${this.path}`);
    this.#stores.set(table, { table, owner, db });
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
