/**
 * Verifies a whole log: every record (verify-chunk.ts, several runs at once), the streams across runs, every tile, and
 * the root of every checkpoint known. The tree's hashes are computed anew from the stored records.
 */

import { HASH_BYTES } from '#streams/record-format.ts';
import { type Checkpoint, CheckpointError, openCheckpoint, readCheckpoint } from '#streams/transparency/checkpoint.ts';
import { Frontier, sameBytes, subtreesOf } from '#streams/transparency/merkle.ts';
import { NoteError, type NoteVerifier } from '#streams/transparency/note.ts';
import { TileBuilder, type TileContent } from '#streams/transparency/tile-builder.ts';
import { type PastCheckpoint, subtreesFromTiles, type TileFiles } from '#streams/transparency/tile-files.ts';
import { edgeTiles, TILE_HEIGHT, TILE_WIDTH, tileWidth } from '#streams/transparency/tiles.ts';
import { type Finding, Findings } from './finding.ts';
import { TileComparison } from './tile-comparison.ts';
import { type ChunkRequest, type ChunkResult, revisionComplaint } from './verify-chunk.ts';

/** Records of a run. */
export const CHUNK_RECORDS = 64 * TILE_WIDTH;

/** A checkpoint to hold the log against. */
export interface KnownCheckpoint {
  /** Where it is from, for messages. */
  readonly source: string;
  readonly text: string;
}

/** What is verified, and how. */
export interface VerifyOptions {
  /** Records in the log. */
  readonly size: number;
  /** First record to read; those before are taken as the tiles tell them. Default 0. */
  readonly from?: number;
  readonly files: TileFiles;
  /** The log's public key, where it is known. */
  readonly verifier?: NoteVerifier;
  /** Checkpoints from elsewhere, beside the published one and those of the log's own past. */
  readonly checkpoints?: readonly KnownCheckpoint[];
  /** Whether sections are opened. */
  readonly opens: boolean;
  /** Runs at the same time. */
  readonly lanes: number;
  readonly verifyChunk: (request: ChunkRequest) => Promise<ChunkResult>;
  readonly onProgress?: (records: number, total: number) => void;
  /** Told where keys are destroyed: from which record on, a byte for each whose bits are its sections. */
  readonly onDestroyed?: (from: number, destroyed: Uint8Array) => void;
  readonly signal?: AbortSignal;
}

/** What verification found. */
export interface VerifyReport {
  /** First record that was read. */
  readonly from: number;
  /** Records that were read. */
  readonly records: number;
  /** Records in the log. */
  readonly size: number;
  /** Records that the published checkpoint speaks of. */
  readonly publishedSize: number;
  /** Header and sealed bytes that were read. */
  readonly bytes: number;
  readonly streams: number;
  /** Sections whose key was destroyed. */
  readonly destroyedSections: number;
  /** Checkpoints whose root was compared. */
  readonly checkpoints: number;
  /** Of these, those signed by a key that is not the log's present one. */
  readonly otherKeys: number;
  readonly findingCount: number;
  /** The first of them. */
  readonly findings: readonly Finding[];
}

/** Verifies; what is wrong is in the report. Rejects only where verification itself cannot go on. */
export async function verifyLog(options: VerifyOptions): Promise<VerifyReport> {
  const verification = new Verification(options);
  return verification.run();
}

interface RootToCompare {
  readonly source: string;
  readonly checkpoint: Checkpoint;
}

class Verification {
  readonly #options: VerifyOptions;
  readonly #findings = new Findings();
  readonly #tiles: TileComparison;
  readonly #from: number;
  readonly #lastRevisions = new Map<string, number>();
  #roots: RootToCompare[] = [];
  #compared = 0;
  #otherKeys = 0;
  #publishedSize = 0;
  #isPublishedRootRight = false;
  /** The tree up to the run that is joined next; undefined where some leaf is known from nowhere. */
  #tree: Frontier | undefined = new Frontier();
  /** Level 1 tiles and up: their level 0 hashes are the roots of level 0 tiles. */
  #upper: TileBuilder | undefined = new TileBuilder();
  #areUpperPartialsCompared = false;
  #records = 0;
  #bytes = 0;
  #unread = 0;
  #destroyed = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#tiles = new TileComparison(options.files);
    this.#from = Math.floor(Math.min(options.from ?? 0, options.size) / TILE_WIDTH) * TILE_WIDTH;
  }

  async run(): Promise<VerifyReport> {
    await this.#collectCheckpoints();
    await this.#startTree();
    await this.#runChunks();
    await this.#compareAt(new Map());
    this.#reportUnreached();
    this.#tiles.report(this.#findings, this.#isPublishedRootRight);
    return {
      from: this.#from,
      records: this.#records,
      size: this.#options.size,
      publishedSize: this.#publishedSize,
      bytes: this.#bytes,
      streams: this.#lastRevisions.size,
      destroyedSections: this.#destroyed,
      checkpoints: this.#compared,
      otherKeys: this.#otherKeys,
      findingCount: this.#findings.count,
      findings: this.#findings.named,
    };
  }

  async #collectCheckpoints(): Promise<void> {
    const { files, checkpoints = [] } = this.#options;
    const published = await files.checkpoint();
    if (published !== undefined) {
      this.#publishedSize = this.#collect({ source: files.checkpointPath, text: published })?.size ?? 0;
    }
    for (const { checkpoint, publishedAtMs } of await this.#history()) {
      const source = `${files.historyPath}, ${new Date(publishedAtMs).toISOString()}`;
      this.#collect({ source, text: checkpoint });
    }
    for (const known of checkpoints) this.#collect(known);
  }

  async #history(): Promise<readonly PastCheckpoint[]> {
    try {
      return await this.#options.files.history();
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      this.#findings.add({ kind: 'checkpoint', message: error.message });
      return [];
    }
  }

  #collect({ source, text }: KnownCheckpoint): Checkpoint | undefined {
    try {
      const checkpoint = this.#opened(text);
      this.#roots.push({ source, checkpoint });
      return checkpoint;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#findings.add({ kind: 'checkpoint', message: `${source}: ${error.message}` });
      return undefined;
    }
  }

  #opened(text: string): Checkpoint {
    const { verifier } = this.#options;
    if (verifier === undefined) return readCheckpoint(text);
    try {
      return openCheckpoint(text, verifier);
    } catch (error) {
      // A log that lost its key goes on under another one; its old checkpoints still speak of its history.
      if (!(error instanceof NoteError) || error.reason !== 'unsigned') throw error;
    }
    this.#otherKeys++;
    return readCheckpoint(text);
  }

  /** The tree in front of the first record that is read, from the tiles. */
  async #startTree(): Promise<void> {
    if (this.#from === 0) return;
    const { files } = this.#options;
    try {
      if (this.#publishedSize < this.#from) throw new RangeError('nothing that far is published');
      const tree = new Frontier();
      const read = subtreesFromTiles(files, this.#publishedSize);
      for (const subtree of subtreesOf({ from: 0, to: this.#from })) {
        tree.appendSubtree(subtree.height, await read(subtree));
      }
      const tilesBefore = this.#from / TILE_WIDTH;
      const contents = edgeTiles(tilesBefore).map(async ({ level, index, width }) => {
        const there = { level: level + 1, index, width: tileWidth(level + 1, index, this.#publishedSize) };
        return (await files.read(there)).subarray(0, width * HASH_BYTES);
      });
      this.#upper = TileBuilder.resume(tilesBefore, await Promise.all(contents));
      this.#tree = tree;
    } catch (error) {
      const message = `the tree in front of record ${this.#from} cannot be had from the tiles: ${(error as Error).message}`;
      this.#findings.add({ kind: 'tile', message });
      this.#loseTree();
    }
    this.#roots = this.#roots.filter(({ checkpoint }) => checkpoint.size >= this.#from);
  }

  /** Some leaf is known from nowhere: no root can be compared any more. */
  #loseTree(): void {
    this.#tree = undefined;
    this.#upper = undefined;
  }

  async #runChunks(): Promise<void> {
    const { size, lanes, verifyChunk, onProgress, onDestroyed, signal } = this.#options;
    const waiting: { readonly from: number; readonly result: Promise<ChunkResult> }[] = [];
    let next = this.#from;
    const startNext = () => {
      if (next >= size) return;
      const from = next;
      next = Math.min(from + CHUNK_RECORDS, size);
      const result = verifyChunk(this.#requestFor(from, next));
      // It is awaited in its turn; until then nobody else may be told of its failure.
      result.catch(() => undefined);
      waiting.push({ from, result });
    };
    for (let lane = 0; lane < lanes * 2; lane++) startNext();
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      signal?.throwIfAborted();
      const result = await run.result;
      await this.#join(result);
      if (result.destroyed !== undefined) onDestroyed?.(run.from, result.destroyed);
      startNext();
      onProgress?.(this.#records, size - this.#from);
    }
  }

  #requestFor(from: number, to: number): ChunkRequest {
    const partialSizes = this.#roots
      .map(({ checkpoint }) => checkpoint.size)
      .filter((size) => size % TILE_WIDTH !== 0 && size >= from && wholeTiles(size) < to);
    return { from, to, publishedSize: this.#publishedSize, partialSizes, opens: this.#options.opens };
  }

  async #join(chunk: ChunkResult): Promise<void> {
    this.#records += chunk.records;
    this.#bytes += chunk.bytes;
    this.#unread += chunk.unread;
    this.#destroyed += chunk.destroyedSections;
    this.#findings.merge(chunk.findings, chunk.findingCount);
    this.#tiles.addDiffering(chunk.differing);
    this.#joinStreams(chunk);
    for (let at = 0; at < chunk.tileRoots.length; at += HASH_BYTES) {
      await this.#compareAt(chunk.partials);
      await this.#appendTile(chunk.tileRoots.subarray(at, at + HASH_BYTES));
    }
    await this.#compareAt(chunk.partials);
    if (chunk.isBroken) this.#loseTree();
  }

  #joinStreams(chunk: ChunkResult): void {
    for (const [stream, [first, last]] of chunk.streams) {
      // Where reading began later, the first revision seen of a stream can be any.
      const before = this.#lastRevisions.get(stream) ?? (this.#from === 0 ? -1 : first - 1);
      const complaint = revisionComplaint(stream, before, first, this.#unread);
      if (complaint !== undefined) this.#findings.add({ kind: 'revision', message: complaint });
      this.#lastRevisions.set(stream, last);
    }
  }

  async #appendTile(root: Uint8Array): Promise<void> {
    this.#tree?.appendSubtree(TILE_HEIGHT, root);
    const filled: TileContent[] = [];
    this.#upper?.append(root, (tile) => filled.push(tile));
    for (const tile of filled) await this.#tiles.compareUpper(tile, this.#publishedSize);
  }

  /** Compares what is to be compared where the tree is now: the published tree's upper partial tiles, checkpoints' roots. */
  async #compareAt(partials: ReadonlyMap<number, Uint8Array>): Promise<void> {
    if (this.#tree === undefined || this.#upper === undefined) return;
    const size = this.#tree.size;
    for (const root of this.#roots) {
      if (wholeTiles(root.checkpoint.size) !== size) continue;
      this.#compareRoot(root, this.#tree, partials.get(root.checkpoint.size));
    }
    if (wholeTiles(this.#publishedSize) === size && !this.#areUpperPartialsCompared) {
      this.#areUpperPartialsCompared = true;
      for (const partial of this.#upper.partials()) await this.#tiles.compareUpper(partial, this.#publishedSize);
    }
  }

  #compareRoot(root: RootToCompare, tree: Frontier, leaves: Uint8Array | undefined): void {
    const { checkpoint, source } = root;
    if (checkpoint.size % TILE_WIDTH !== 0 && leaves === undefined) return;
    const whole = tree.copy();
    for (let at = 0; leaves !== undefined && at < leaves.length; at += HASH_BYTES) {
      whole.append(leaves.subarray(at, at + HASH_BYTES));
    }
    this.#roots = this.#roots.filter((one) => one !== root);
    this.#compared++;
    if (sameBytes(whole.root(), checkpoint.root)) {
      if (source === this.#options.files.checkpointPath) this.#isPublishedRootRight = true;
      return;
    }
    const was = Buffer.from(checkpoint.root).toString('base64');
    const is = Buffer.from(whole.root()).toString('base64');
    const message = `${source}: the root of the first ${checkpoint.size} records was ${was}, the log's is ${is}: history was changed`;
    this.#findings.add({ kind: 'checkpoint', message });
  }

  #reportUnreached(): void {
    for (const { source, checkpoint } of this.#roots) {
      if (checkpoint.size > this.#options.size) {
        const message = `${source} speaks of ${checkpoint.size} records, the log has only ${this.#options.size}: history was lost`;
        this.#findings.add({ kind: 'lost', message });
      } else {
        const message = `${source}: its root cannot be compared, since not all of its ${checkpoint.size} records can be read`;
        this.#findings.add({ kind: 'checkpoint', message });
      }
    }
  }
}

/** The leaves of a tree's whole level 0 tiles. */
function wholeTiles(size: number): number {
  return Math.floor(size / TILE_WIDTH) * TILE_WIDTH;
}
