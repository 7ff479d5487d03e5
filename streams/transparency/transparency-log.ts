/**
 * The transparency log beside the append-only log: takes the leaf hash of every committed record, keeps the tree as tiles
 * and publishes its signed head. Appending costs it an array push; hashing and files happen in the background, in short
 * turns. It owns nothing that cannot be made again from the log, except the promise in its published checkpoint: that the
 * log will always extend what was published.
 */
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, CheckpointError, openCheckpoint, readCheckpoint, signCheckpoint } from './checkpoint.ts';
import { EMPTY_ROOT } from './merkle.ts';
import type { NoteSigner } from './note.ts';
import type { TileBuilder, TileContent } from './tile-builder.ts';
import { findBadTiles, fullTiles, type LeafSource, lastLeavesMatch, remakeTiles, resumeBuilder } from './tile-check.ts';
import { TileFiles } from './tile-files.ts';
import { edgeTiles, TILE_WIDTH, type Tile, tilePath, tileWidth } from './tiles.ts';

/** How long new records may wait for a checkpoint. */
const PUBLISH_INTERVAL_MS = 1_000;
/** Leaves waiting at which publishing starts at once. */
const EAGER_LEAVES = 16_384;
/** Most leaves held for publishing; beyond them they are read from the log instead. */
const MAX_PENDING_LEAVES = 131_072;
/** Full tiles that are gathered before they are written. */
const TILES_PER_WRITE = 16;
/** Wait after publishing failed (a full disk, say). */
const RETRY_MS = 5_000;
/** At most one checkpoint is kept for good in this time. */
const HISTORY_INTERVAL_MS = 3_600_000;
/** There while a process has the folder open; found at opening, the last one did not close it. */
const IN_USE = 'in-use';

/** What a transparency log needs. */
export interface TransparencyOptions {
  /** Folder of its files; made if absent. */
  readonly folder: string;
  readonly signer: NoteSigner;
  readonly leaves: LeafSource;
  /** Default 1,000. */
  readonly publishIntervalMs?: number;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
  /** Told when publishing failed (it is tried again) or when tiles had to be made again. For the operator's log. */
  readonly onNotice?: (notice: TransparencyNotice) => void;
}

/** See {@link TransparencyOptions.onNotice}. */
export type TransparencyNotice =
  | { readonly kind: 'tiles-remade'; readonly count: number }
  /** Of a HistoryContradicted nothing can be published any more; all else is tried again. */
  | { readonly kind: 'failed'; readonly error: Error };

/**
 * Number of records the published checkpoint in this folder speaks of, 0 if there is none: the log may not have fewer.
 * Throws CheckpointError if it cannot be read, with what its operator can do.
 */
export async function latestPublishedSize(folder: string): Promise<number> {
  const files = new TileFiles(folder);
  const text = await files.checkpoint();
  if (text === undefined) return 0;
  try {
    return readCheckpoint(text).size;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(
      `${files.checkpointPath} cannot be read: ${reason}. Put it back from a copy; the last line of ${files.historyPath} ` +
        'has an older one. Without one nobody can tell whether the log has lost records',
    );
  }
}

/** See the file's comment. */
export class TransparencyLog {
  readonly #options: TransparencyOptions;
  readonly #files: TileFiles;
  readonly #stopping = new AbortController();
  /** Undefined after a failure: what was built since the last checkpoint is then built again. */
  #builder: TileBuilder | undefined;
  #published: Checkpoint;
  #publishedText: string | undefined;
  #lastHistoryMs: number;
  /** Leaves that were added, or were in the log at opening. */
  #size: number;
  #pending: (readonly Uint8Array[])[] = [];
  /** Index of the first pending leaf. */
  #pendingStart: number;
  #timer: NodeJS.Timeout | undefined;
  /** The timer was set to fire at once. */
  #isEager = false;
  /** A tile was found bad. */
  #mustRemake = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #check: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /**
   * Opens the folder, or begins it. Nothing may be appended to the log until this has resolved; from then on every
   * committed batch goes to {@link add}. Throws HistoryContradicted where the log is not what was published, NoteError
   * where the checkpoint is not signed by this key.
   */
  static async open(options: TransparencyOptions): Promise<TransparencyLog> {
    const files = new TileFiles(options.folder);
    await mkdir(options.folder, { recursive: true });
    const text = await files.checkpoint();
    const { verifier } = options.signer;
    const published =
      text === undefined ? { origin: verifier.name, size: 0, root: EMPTY_ROOT } : openCheckpoint(text, verifier);
    let builder = await resumeBuilder(files, published);
    const notices: TransparencyNotice[] = [];
    if (builder === undefined || !(await lastLeavesMatch(files, options.leaves, published))) {
      const remade = await remakeTiles(files, options.leaves, published);
      notices.push({ kind: 'tiles-remade', count: remade.length });
      builder = await resumeBuilder(files, published);
    }
    const wasInUse = await stat(join(options.folder, IN_USE)).then(
      () => true,
      () => false,
    );
    await writeFile(join(options.folder, IN_USE), '');
    const lastHistoryMs = (await files.history()).at(-1)?.publishedAtMs ?? 0;
    const log = new TransparencyLog(options, files, builder, published, text, lastHistoryMs);
    for (const notice of notices) options.onNotice?.(notice);
    if (log.#size > published.size) log.#schedule(0);
    if (wasInUse) log.#check = log.#checkTiles();
    return log;
  }

  private constructor(
    options: TransparencyOptions,
    files: TileFiles,
    builder: TileBuilder | undefined,
    published: Checkpoint,
    text: string | undefined,
    lastHistoryMs: number,
  ) {
    this.#options = options;
    this.#files = files;
    this.#builder = builder;
    this.#published = published;
    this.#publishedText = text;
    this.#lastHistoryMs = lastHistoryMs;
    this.#size = options.leaves.size();
    this.#pendingStart = this.#size;
  }

  /** Records of the log, published or not. */
  get size(): number {
    return this.#size;
  }

  /** Records that the published checkpoint speaks of. */
  get publishedSize(): number {
    return this.#published.size;
  }

  /** The public key, as Go's note package and other C2SP tools read it. */
  get verifierKey(): string {
    return this.#options.signer.verifier.text;
  }

  /** The published checkpoint, undefined before the first. */
  checkpoint(): string | undefined {
    return this.#publishedText;
  }

  /** Takes the leaf hashes of a committed batch, which must follow those before it. Returns at once. */
  add(leaves: readonly Uint8Array[]): void {
    if (leaves.length === 0) return;
    this.#pending.push(leaves);
    this.#size += leaves.length;
    const waiting = this.#size - this.#pendingStart;
    if (waiting > MAX_PENDING_LEAVES) this.#dropPending();
    if (waiting >= EAGER_LEAVES && !this.#isEager) {
      this.#isEager = true;
      this.#schedule(0);
    } else if (this.#timer === undefined) this.#schedule(this.#intervalMs());
  }

  /**
   * Publishes what was added before the call; calls while one waits share it. Rejects with what the file system says;
   * what was not published stays due and is tried again with the next call or in some seconds.
   */
  publish(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#publishOnce().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.publish();
      });
    return this.#next;
  }

  /** Publishes the last records and lets go of the folder. Rejects if that publication fails. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#check;
    await this.publish();
    clearTimeout(this.#timer);
    await rm(join(this.#options.folder, IN_USE), { force: true });
  }

  #schedule(delayMs: number): void {
    if (this.#stopping.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isEager = false;
      this.publish().then(
        () => this.#reschedule(this.#intervalMs()),
        () => this.#reschedule(RETRY_MS),
      );
    }, delayMs);
    this.#timer.unref();
  }

  #reschedule(delayMs: number): void {
    if (this.#isEager) return;
    this.#timer = undefined;
    if (this.#size > this.#published.size) this.#schedule(delayMs);
  }

  #intervalMs(): number {
    return this.#options.publishIntervalMs ?? PUBLISH_INTERVAL_MS;
  }

  #dropPending(): void {
    this.#pending = [];
    this.#pendingStart = this.#size;
  }

  async #publishOnce(): Promise<void> {
    // What the log says counts; only a batch that never came here could make a difference.
    if (this.#size !== this.#options.leaves.size()) {
      this.#size = this.#options.leaves.size();
      this.#dropPending();
    }
    const isCurrent = this.#size === this.#published.size && this.#publishedText !== undefined;
    if (isCurrent && !this.#mustRemake) return;
    try {
      const builder = await this.#readyBuilder();
      await this.#grow(builder, this.#size);
      if (!isCurrent) await this.#publishHead(builder);
    } catch (error) {
      this.#builder = undefined;
      this.#dropPending();
      this.#options.onNotice?.({ kind: 'failed', error: asError(error) });
      throw error;
    }
  }

  /** The builder, made again from the published tiles after a failure, and these from the log where they are bad. */
  async #readyBuilder(): Promise<TileBuilder> {
    if (!this.#mustRemake) this.#builder ??= await resumeBuilder(this.#files, this.#published);
    if (this.#builder !== undefined && !this.#mustRemake) return this.#builder;
    const remade = await remakeTiles(this.#files, this.#options.leaves, this.#published);
    this.#mustRemake = false;
    this.#options.onNotice?.({ kind: 'tiles-remade', count: remade.length });
    this.#builder ??= await resumeBuilder(this.#files, this.#published);
    if (this.#builder === undefined) throw new Error(`${this.#files.folder} changes while it is written`);
    return this.#builder;
  }

  /** Takes leaves until there are at least `size`: from the log those that are not pending, then the pending ones. */
  async #grow(builder: TileBuilder, size: number): Promise<void> {
    let filled: TileContent[] = [];
    const writeFilled = async () => {
      const tiles = filled;
      filled = [];
      await this.#files.write(tiles);
    };
    while (builder.size < size) {
      const before = builder.size;
      const isPending = before === this.#pendingStart;
      const until = isPending ? this.#size : this.#pendingStart;
      const source = isPending ? this.#takePending() : this.#options.leaves;
      for await (const full of fullTiles(builder, source, until)) {
        filled.push(full);
        if (filled.length === TILES_PER_WRITE) await writeFilled();
      }
      if (builder.size === before) throw new Error(`the log gave no leaf ${before}, though it has ${size}`);
    }
    await writeFilled();
  }

  /** The pending leaves as a source of their own; they are no longer pending. */
  #takePending(): LeafSource {
    const batches = this.#pending;
    const size = this.#size;
    this.#dropPending();
    return {
      size: () => size,
      async *readLeaves() {
        yield* batches;
      },
    };
  }

  async #publishHead(builder: TileBuilder): Promise<void> {
    const before = this.#published;
    // A tile that is published is never written again: somebody may be reading it.
    const published = new Set(edgeTiles(before.size).map(tilePath));
    await this.#files.write(builder.partials().filter(({ tile }) => !published.has(tilePath(tile))));
    const head = { origin: before.origin, size: builder.size, root: builder.root() };
    const text = signCheckpoint(head, this.#options.signer);
    await this.#files.writeCheckpoint(text);
    this.#published = head;
    this.#publishedText = text;
    await this.#files.dropPartials(edgeTiles(before.size).filter((tile) => hasFilled(tile, head.size)));
    const nowMs = (this.#options.now ?? Date.now)();
    if (nowMs - this.#lastHistoryMs >= HISTORY_INTERVAL_MS) {
      await this.#files.appendHistory({ publishedAtMs: nowMs, checkpoint: text });
      this.#lastHistoryMs = nowMs;
    }
  }

  /** After a crash: every tile against the head, in the background; bad ones are made again with the next publication. */
  async #checkTiles(): Promise<void> {
    try {
      const bad = await findBadTiles(this.#files, this.#published, { signal: this.#stopping.signal });
      if (bad.length === 0) return;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#options.onNotice?.({ kind: 'failed', error: asError(error) });
    }
    this.#mustRemake = true;
    this.#schedule(0);
  }
}

function hasFilled({ level, index, width }: Tile, size: number): boolean {
  return width < TILE_WIDTH && tileWidth(level, index, size) === TILE_WIDTH;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
