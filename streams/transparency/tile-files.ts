/**
 * The transparency log's folder: `checkpoint`, `tile/…` under the names of https://c2sp.org/tlog-tiles, so that it can be
 * served as it is, and `checkpoints.jsonl`, one published checkpoint an hour for as long as the log exists.
 * Only reading and writing; what is right is decided in transparency-log.ts and tile-check.ts.
 */
import { constants, readFileSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HASH_BYTES } from '../record-format.ts';
import { CheckpointError } from './checkpoint.ts';
import type { SubtreeReader } from './merkle.ts';
import type { TileContent } from './tile-builder.ts';
import { partialsPath, sliceOf, subtreeHash, TILE_WIDTH, type Tile, tilePath, tileWidth } from './tiles.ts';

/** Most files written or synced at once. */
const CONCURRENT_FILES = 8;
/** Longest checkpoint file that is read, in bytes. */
const MAX_CHECKPOINT_BYTES = 100_000;
/** A new file's bytes are here until they take their name. */
const NEW_SUFFIX = '.new';

/** A tile that the tree has is not in the folder, or has not its length. */
export class TileMissing extends Error {
  override readonly name = 'TileMissing';
  readonly path: string;
  constructor(path: string) {
    super(`${path} is missing or cut short; \`stele verify --repair-tiles\` makes it again from the log`);
    this.path = path;
  }
}

/** One line of `checkpoints.jsonl`. */
export interface PastCheckpoint {
  readonly publishedAtMs: number;
  readonly checkpoint: string;
}

/** Reads a line of `checkpoints.jsonl`; undefined for one that is none. */
export function parsePastCheckpoint(line: string): PastCheckpoint | undefined {
  try {
    const { publishedAtMs, checkpoint } = (JSON.parse(line) ?? {}) as Partial<PastCheckpoint>;
    return Number.isSafeInteger(publishedAtMs) && typeof checkpoint === 'string'
      ? { publishedAtMs: publishedAtMs as number, checkpoint }
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The files of one transparency log. */
export class TileFiles {
  readonly folder: string;
  readonly #unsynced = new Map<string, 'file' | 'folder'>();

  constructor(folder: string) {
    this.folder = folder;
  }

  get checkpointPath(): string {
    return join(this.folder, 'checkpoint');
  }

  get historyPath(): string {
    return join(this.folder, 'checkpoints.jsonl');
  }

  pathOf(tile: Tile): string {
    return join(this.folder, tilePath(tile));
  }

  /** The published checkpoint's text, or undefined if there is none. */
  async checkpoint(): Promise<string | undefined> {
    const bytes = await readIfThere(this.checkpointPath);
    if (bytes !== undefined && bytes.length > MAX_CHECKPOINT_BYTES) {
      throw new RangeError(`${this.checkpointPath} is too long for a checkpoint`);
    }
    return bytes?.toString('utf8');
  }

  /** Replaces the checkpoint by one rename, durably, once everything written before is durable. */
  async writeCheckpoint(text: string): Promise<void> {
    await this.sync();
    await this.#replace(this.checkpointPath, Buffer.from(text));
    await syncPath(this.folder, 'folder');
  }

  /**
   * The hourly checkpoints, oldest first. A last line that a crash cut short is left out. Throws CheckpointError that names
   * the first line that is none of ours.
   */
  async history(): Promise<PastCheckpoint[]> {
    const text = (await readIfThere(this.historyPath))?.toString('utf8') ?? '';
    const lines = text.split('\n').slice(0, -1);
    return lines.map((line, index) => {
      const entry = parsePastCheckpoint(line);
      if (entry !== undefined) return entry;
      throw new CheckpointError(
        `${this.historyPath}, line ${index + 1} is no checkpoint. Put the file back from a copy`,
      );
    });
  }

  async appendHistory(entry: PastCheckpoint): Promise<void> {
    const file = await open(this.historyPath, constants.O_CREAT | constants.O_RDWR, 0o644);
    try {
      const bytes = await file.readFile();
      // A line that a crash cut short goes, so that every line before the last newline is whole.
      const whole = bytes.lastIndexOf(0x0a) + 1;
      await file.truncate(whole);
      await file.write(`${JSON.stringify(entry)}\n`, whole);
    } finally {
      await file.close();
    }
  }

  /** The bytes of a tile: of the file with that width, or the beginning of the full tile. Throws {@link TileMissing}. */
  async read(tile: Tile): Promise<Buffer> {
    const bytes = await this.readIfThere(tile);
    if (bytes === undefined) throw new TileMissing(this.pathOf(tile));
    return bytes;
  }

  /** The same, undefined where the file is missing or too short. */
  async readIfThere(tile: Tile): Promise<Buffer | undefined> {
    const exact = wholeTile(await readIfThere(this.pathOf(tile)), tile.width);
    if (exact !== undefined || tile.width === TILE_WIDTH) return exact;
    const full = wholeTile(await readIfThere(this.pathOf({ ...tile, width: TILE_WIDTH })), TILE_WIDTH);
    return full?.subarray(0, tile.width * HASH_BYTES);
  }

  /** The same, at once: a quarter of the work, for a thread that reads many tiles and has nothing else to do. */
  readIfThereSync(tile: Tile): Buffer | undefined {
    const exact = wholeTile(readIfThereSync(this.pathOf(tile)), tile.width);
    if (exact !== undefined || tile.width === TILE_WIDTH) return exact;
    const full = wholeTile(readIfThereSync(this.pathOf({ ...tile, width: TILE_WIDTH })), TILE_WIDTH);
    return full?.subarray(0, tile.width * HASH_BYTES);
  }

  /** Writes tiles under their names. They are durable after {@link sync}. */
  async write(tiles: readonly TileContent[]): Promise<void> {
    await eachOf(tiles, async ({ tile, bytes }) => this.#write(this.pathOf(tile), bytes));
  }

  /** Writes a tile beside its name; {@link adopt} gives it the name. */
  async propose({ tile, bytes }: TileContent): Promise<void> {
    await this.#write(this.pathOf(tile) + NEW_SUFFIX, bytes);
  }

  /** Gives proposed tiles their names, durably, or drops them. */
  async adopt(tiles: readonly Tile[]): Promise<void> {
    await this.sync();
    await eachOf(tiles, async (tile) => {
      const path = this.pathOf(tile);
      await rename(path + NEW_SUFFIX, path);
      this.#unsynced.set(dirname(path), 'folder');
    });
    await this.sync();
  }

  async discard(tiles: readonly Tile[]): Promise<void> {
    await eachOf(tiles, async (tile) => {
      const path = this.pathOf(tile) + NEW_SUFFIX;
      await rm(path, { force: true });
      this.#unsynced.delete(path);
    });
  }

  /** Removes the partial versions of tiles that are full now. */
  async dropPartials(tiles: readonly Tile[]): Promise<void> {
    await eachOf(tiles, ({ level, index }) =>
      rm(join(this.folder, partialsPath(level, index)), { recursive: true, force: true }),
    );
  }

  /** Makes everything written so far durable. */
  async sync(): Promise<void> {
    const paths = [...this.#unsynced];
    this.#unsynced.clear();
    try {
      // A file's name lasts when its folder is synced, which must come after the file.
      for (const kind of ['file', 'folder'] as const) {
        await eachOf(
          paths.filter(([, its]) => its === kind),
          ([path]) => syncPath(path, kind),
        );
      }
    } catch (error) {
      for (const [path, kind] of paths) this.#unsynced.set(path, kind);
      throw error;
    }
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    let file = await open(path, 'w').catch(ifMissing);
    if (file === undefined) {
      await this.#makeFolder(dirname(path));
      file = await open(path, 'w');
    }
    try {
      await file.writeFile(bytes);
    } finally {
      await file.close();
    }
    this.#unsynced.set(path, 'file').set(dirname(path), 'folder');
  }

  async #makeFolder(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    for (let at = dirname(folder); at.startsWith(this.folder); at = dirname(at)) this.#unsynced.set(at, 'folder');
  }

  async #replace(path: string, bytes: Uint8Array): Promise<void> {
    const file = await open(path + NEW_SUFFIX, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(path + NEW_SUFFIX, path);
  }
}

/** Reads the hashes of the tree of `size` leaves from its tiles, each tile once. For a proof or two, not for the whole tree. */
export function subtreesFromTiles(files: Pick<TileFiles, 'read'>, size: number): SubtreeReader {
  const tiles = new Map<string, Promise<Buffer>>();
  return async (subtree) => {
    const slice = sliceOf(subtree);
    const tile = { level: slice.level, index: slice.index, width: tileWidth(slice.level, slice.index, size) };
    const path = tilePath(tile);
    const bytes = tiles.get(path) ?? files.read(tile);
    tiles.set(path, bytes);
    return subtreeHash(await bytes, slice);
  };
}

/** Runs the work for every item, {@link CONCURRENT_FILES} at once; waits for all under way before it throws the first error. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  const lane = async () => {
    for (const item of rest) await work(item);
  };
  const lanes = Array.from({ length: Math.min(CONCURRENT_FILES, items.length) }, lane);
  for (const outcome of await Promise.allSettled(lanes)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

async function syncPath(path: string, kind: 'file' | 'folder'): Promise<void> {
  const handle = await open(path, 'r');
  try {
    if (kind === 'file') await handle.datasync();
    else await handle.sync();
  } finally {
    await handle.close();
  }
}

function wholeTile(bytes: Buffer | undefined, width: number): Buffer | undefined {
  return bytes?.length === width * HASH_BYTES ? bytes : undefined;
}

function readIfThereSync(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    return ifMissing(error as NodeJS.ErrnoException);
  }
}

function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch(ifMissing);
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}
