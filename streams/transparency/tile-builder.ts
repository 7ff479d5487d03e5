/**
 * The growing tree as tiles: takes leaves, gives every tile as it fills, and knows its partial tiles and its root.
 * Pure, and one hash a leaf. It holds at most one tile of each level.
 */
import { HASH_BYTES } from '../record-format.ts';
import { foldSubtrees, perfectRoot } from './merkle.ts';
import { edgeTiles, MAX_TILE_LEVEL, TILE_BYTES, TILE_WIDTH, type Tile } from './tiles.ts';

/** A tile and its hashes, one after the other. */
export interface TileContent {
  readonly tile: Tile;
  readonly bytes: Buffer;
}

interface Level {
  readonly bytes: Buffer;
  width: number;
  /** Of the tile being filled. */
  index: number;
}

/** See the file's comment. */
export class TileBuilder {
  readonly #levels: Level[] = [];
  #size = 0;

  /**
   * Goes on from a tree of `size` leaves whose rightmost tiles {@link edgeTiles} names; `contents` are their bytes in that
   * order. Throws RangeError where a tile's length is wrong. Nothing vouches for the contents: compare {@link root}.
   */
  static resume(size: number, contents: readonly Uint8Array[]): TileBuilder {
    const builder = new TileBuilder();
    builder.#size = size;
    edgeTiles(size).forEach(({ level, index, width }, i) => {
      const content = contents[i];
      if (content?.length !== width * HASH_BYTES) throw new RangeError('a tile has not the length its tree asks for');
      const filling = newLevel(width === TILE_WIDTH ? index + 1 : index);
      if (width < TILE_WIDTH) {
        filling.bytes.set(content);
        filling.width = width;
      }
      builder.#levels[level] = filling;
    });
    return builder;
  }

  /** Number of leaves. */
  get size(): number {
    return this.#size;
  }

  /** Adds a leaf hash and gives the tiles that it fills (none, nearly always) to `onFull`; their bytes are the taker's. */
  append(leaf: Uint8Array, onFull: (full: TileContent) => void): void {
    this.#size++;
    let hash = leaf;
    for (let level = 0; level <= MAX_TILE_LEVEL; level++) {
      const filling = this.#level(level);
      filling.bytes.set(hash, filling.width * HASH_BYTES);
      filling.width++;
      if (filling.width < TILE_WIDTH) return;
      const tile = { level, index: filling.index, width: TILE_WIDTH };
      onFull({ tile, bytes: Buffer.from(filling.bytes) });
      hash = perfectRoot(filling.bytes);
      filling.width = 0;
      filling.index++;
    }
  }

  /** The partial tiles of the tree as it is, from level 0 up. */
  partials(): TileContent[] {
    return this.#levels.flatMap(({ bytes, width, index }, level) =>
      width === 0 ? [] : [{ tile: { level, index, width }, bytes: Buffer.from(bytes.subarray(0, width * HASH_BYTES)) }],
    );
  }

  root(): Uint8Array {
    const subtrees: Uint8Array[] = [];
    for (const { bytes, width } of this.#levels.toReversed()) {
      for (let at = 0, part = TILE_WIDTH / 2; part >= 1; part /= 2) {
        if (width - at < part) continue;
        subtrees.push(perfectRoot(bytes.subarray(at * HASH_BYTES, (at + part) * HASH_BYTES)));
        at += part;
      }
    }
    return foldSubtrees(subtrees);
  }

  #level(level: number): Level {
    this.#levels[level] ??= newLevel(0);
    return this.#levels[level];
  }
}

function newLevel(index: number): Level {
  return { bytes: Buffer.alloc(TILE_BYTES), width: 0, index };
}
