/** The leaves of a log that a checkpoint vouches for, read from hash tiles, each of which is checked once. */

import { Lru } from '#src/sync/lru.ts';
import { HASH_BYTES } from '#streams/record-format.ts';
import type { Checkpoint } from '#streams/transparency/checkpoint.ts';
import { perfectRoot, sameBytes, treeRoot } from '#streams/transparency/merkle.ts';
import { subtreesFromTiles, type TileFiles } from '#streams/transparency/tile-files.ts';
import { TILE_WIDTH, tileWidth } from '#streams/transparency/tiles.ts';

/** Checked tiles that are remembered: 8 KiB each. */
const MAX_REMEMBERED = 4_096;

/**
 * A full tile is right if its root is the hash that its parent has for it; the tiles at the right edge, which are not full, are
 * right if they make up the checkpoint's root.
 */
export class VerifiedTiles {
  readonly #files: TileFiles;
  readonly #size: number;
  readonly #checked = new Lru<string, Buffer>(MAX_REMEMBERED);

  private constructor(files: TileFiles, size: number) {
    this.#files = files;
    this.#size = size;
  }

  /** Checks the right edge. Throws an Error that says so where it does not lead to the checkpoint, and `TileMissing`. */
  static async open(files: TileFiles, checkpoint: Checkpoint): Promise<VerifiedTiles> {
    const root = await treeRoot(checkpoint.size, subtreesFromTiles(files, checkpoint.size));
    if (!sameBytes(root, checkpoint.root)) throw new Error('the tiles do not lead to the root that was signed');
    return new VerifiedTiles(files, checkpoint.size);
  }

  /** The hash of a leaf below the checkpoint's size. Throws an Error where the tiles are not those that were signed. */
  async leafAt(position: number): Promise<Buffer> {
    return this.#hashAt(0, position);
  }

  async #hashAt(level: number, index: number): Promise<Buffer> {
    const tile = await this.#tile(level, Math.floor(index / TILE_WIDTH));
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    if (at >= tile.length) throw new RangeError('the log that was signed has no such record');
    return tile.subarray(at, at + HASH_BYTES);
  }

  async #tile(level: number, index: number): Promise<Buffer> {
    const name = `${level}/${index}`;
    const checked = this.#checked.get(name);
    if (checked !== undefined) return checked;
    const width = tileWidth(level, index, this.#size);
    if (width === 0) throw new RangeError('the log that was signed has no such record');
    const bytes = await this.#files.read({ level, index, width });
    if (width === TILE_WIDTH && !sameBytes(perfectRoot(bytes), await this.#hashAt(level + 1, index))) {
      throw new Error(`tile ${name} is not the one that was signed`);
    }
    this.#checked.set(name, bytes);
    return bytes;
  }
}
