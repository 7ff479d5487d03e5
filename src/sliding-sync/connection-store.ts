/**
 * Keeps what connections have been told, across restarts. It is no truth and no projection: what is lost of it costs a client
 * one fresh start (`M_UNKNOWN_POS`), so it is written behind the answers and belongs neither in the log nor in a backup.
 */
import { createHash } from 'node:crypto';
import { open, type RootDatabase } from 'lmdb';
import { Packr } from 'msgpackr';
import type { Logger } from '#src/log/logger.ts';
import type { Position } from '#streams/event-log.ts';
import type { ConnectionState, SentRoom } from './connection.ts';

/** Most connections that are kept; beyond it those go that were used longest ago. */
export const MAX_CONNECTIONS = 20_000;
/** Most connections of one device. Clients of today have two: one for rooms, one for encryption. */
export const MAX_CONNECTIONS_OF_DEVICE = 8;
/** How long a change may wait for others before it is written, in milliseconds. */
const GATHER_MS = 500;
/** Address space that is mapped at first. */
const MAP_BYTES = 64 * 1024 * 1024;
/** A row with another number is not read. */
const FORMAT = 1;
/** Characters of a hash in a key: 96 bits. */
const HASH_CHARACTERS = 16;

/** Whose connection it is, and which one. */
export interface ConnectionName {
  readonly userId: string;
  readonly deviceKey: string;
  /** The client's name for it; empty if it gave none. */
  readonly connId: string;
}

type StoredRoom = [
  room: Position,
  upTo: Position,
  known: number,
  required: number,
  isDirect: boolean,
  membership: string,
];

interface StoredConnection {
  readonly format: number;
  readonly name: ConnectionName;
  readonly id: string;
  readonly generation: number;
  readonly parent: number | null;
  /** Texts that rooms name by their place here. */
  readonly required: readonly string[];
  readonly rooms: readonly StoredRoom[];
  /** A room alone is one that was not told of before. */
  readonly undo: readonly (StoredRoom | [room: Position])[];
}

export interface ConnectionStoreOptions {
  /** The folder; made when it is first needed. */
  readonly dir: string;
  readonly logger: Logger;
}

const packr = new Packr({ useRecords: false });

export class ConnectionStore {
  readonly #options: ConnectionStoreOptions;
  #database: RootDatabase<Buffer, string> | undefined;
  #isClosed = false;
  /** Keys of what is in the store, that which was used longest ago first; and the same by device. */
  readonly #keys = new Set<string>();
  readonly #byDevice = new Map<string, Set<string>>();
  readonly #waiting = new Map<string, { readonly name: ConnectionName; readonly state: ConnectionState }>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(options: ConnectionStoreOptions) {
    this.#options = options;
  }

  /** What is kept of a connection; undefined if nothing is. */
  load(name: ConnectionName): ConnectionState | undefined {
    const key = keyOf(name);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      this.#use(key);
      return waiting.state;
    }
    const bytes = this.#open()?.get(key);
    if (bytes === undefined) return undefined;
    this.#use(key);
    return readConnection(bytes, name);
  }

  /** Keeps a connection, as it is when its turn to be written comes. */
  save(name: ConnectionName, state: ConnectionState): void {
    if (this.#open() === undefined) return;
    const key = keyOf(name);
    this.#use(key);
    this.#waiting.set(key, { name, state });
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS).unref();
  }

  /** Writes what waits. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const database = this.#database;
    if (database === undefined) return;
    const writes = [...this.#waiting].map(([key, { name, state }]) =>
      database.put(key, packr.pack(storedConnection(name, state))),
    );
    this.#waiting.clear();
    this.#writing = Promise.all([this.#writing, ...writes]).catch((error: unknown) => this.#fail(error));
    await this.#writing;
  }

  /** Writes what waits, and keeps nothing more. */
  async close(): Promise<void> {
    await this.flush();
    this.#isClosed = true;
    await this.#database?.close();
    this.#database = undefined;
  }

  /** Undefined where nothing can be kept: connections then last as long as the process. */
  #open(): RootDatabase<Buffer, string> | undefined {
    if (this.#database !== undefined || this.#isClosed) return this.#database;
    try {
      const { dir } = this.#options;
      const database = open<Buffer, string>({ path: dir, noSubdir: false, encoding: 'binary', mapSize: MAP_BYTES });
      for (const key of database.getKeys()) this.#use(key);
      this.#database = database;
    } catch (error) {
      this.#isClosed = true;
      this.#fail(error);
    }
    return this.#database;
  }

  #use(key: string): void {
    this.#keys.delete(key);
    this.#keys.add(key);
    const device = deviceIn(key);
    const ofDevice = this.#byDevice.get(device) ?? new Set<string>();
    this.#byDevice.set(device, ofDevice);
    ofDevice.delete(key);
    ofDevice.add(key);
    if (ofDevice.size > MAX_CONNECTIONS_OF_DEVICE) this.#dropFirst(ofDevice);
    if (this.#keys.size > MAX_CONNECTIONS) this.#dropFirst(this.#keys);
  }

  #dropFirst(keys: ReadonlySet<string>): void {
    for (const key of keys) {
      this.#keys.delete(key);
      this.#waiting.delete(key);
      const device = deviceIn(key);
      const ofDevice = this.#byDevice.get(device);
      ofDevice?.delete(key);
      if (ofDevice?.size === 0) this.#byDevice.delete(device);
      const removed = this.#database?.remove(key);
      removed?.catch((error: unknown) => this.#fail(error));
      return;
    }
  }

  #fail(error: unknown): void {
    const { logger, dir } = this.#options;
    logger.warn({ err: error, folder: dir }, 'What sliding sync connections were told is not kept over a restart.');
  }
}

/** `<device>.<connection>`: hashes, since names may be longer than a key can be. */
function keyOf({ userId, deviceKey, connId }: ConnectionName): string {
  return `${hash(`${userId}\0${deviceKey}`)}.${hash(connId)}`;
}

function deviceIn(key: string): string {
  return key.slice(0, HASH_CHARACTERS);
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, HASH_CHARACTERS);
}

function storedConnection(name: ConnectionName, state: ConnectionState): StoredConnection {
  const required = new Map<string, number>();
  const stored = (room: Position, sent: SentRoom): StoredRoom => {
    const index = required.get(sent.required) ?? required.size;
    required.set(sent.required, index);
    return [room, sent.upTo, sent.known, index, sent.isDirect, sent.membership];
  };
  const rooms = [...state.rooms].map(([room, sent]) => stored(room, sent));
  const undo = [...state.undo].map(([room, sent]): StoredRoom | [Position] =>
    sent === undefined ? [room] : stored(room, sent),
  );
  const { id, generation, parent = null } = state;
  return { format: FORMAT, name, id, generation, parent, required: [...required.keys()], rooms, undo };
}

function readConnection(bytes: Buffer, name: ConnectionName): ConnectionState | undefined {
  const stored = packr.unpack(bytes) as StoredConnection;
  if (stored.format !== FORMAT) return undefined;
  const { userId, deviceKey, connId } = stored.name;
  if (userId !== name.userId || deviceKey !== name.deviceKey || connId !== name.connId) return undefined;
  const sentRoom = ([, upTo, known, required, isDirect, membership]: StoredRoom): SentRoom => ({
    upTo,
    known,
    required: stored.required[required] ?? '[]',
    isDirect,
    membership,
  });
  return {
    id: stored.id,
    generation: stored.generation,
    parent: stored.parent ?? undefined,
    rooms: new Map(stored.rooms.map((room) => [room[0], sentRoom(room)])),
    undo: new Map(stored.undo.map((room) => [room[0], room.length === 1 ? undefined : sentRoom(room)])),
  };
}
