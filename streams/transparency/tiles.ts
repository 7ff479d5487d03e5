/**
 * Tiles of height 8 (https://c2sp.org/tlog-tiles): tile `index` of level `level` holds the hashes of up to 256 consecutive
 * perfect subtrees of height `8 · level`. Pure: names, sizes, and finding a subtree's hash in a tile.
 */
import { HASH_BYTES } from '../record-format.ts';
import { perfectRoot, type Subtree } from './merkle.ts';

/** Levels of the tree that one tile spans. */
export const TILE_HEIGHT = 8;
/** Hashes of a full tile. */
export const TILE_WIDTH = 256;
/** Bytes of a full tile. */
export const TILE_BYTES = TILE_WIDTH * HASH_BYTES;
/** Highest level a tree below 2^53 leaves has. */
export const MAX_TILE_LEVEL = 6;

/** One tile as it is for some tree: full (`width` 256) or partial. */
export interface Tile {
  readonly level: number;
  readonly index: number;
  /** Hashes it holds, 1 … 256. */
  readonly width: number;
}

/** The tile's path below the log's prefix: `tile/<L>/<N>`, and `.p/<W>` after it where it is partial. */
export function tilePath({ level, index, width }: Tile): string {
  const full = `tile/${level}/${groupsOfThree(index)}`;
  return width === TILE_WIDTH ? full : `${full}.p/${width}`;
}

/** The folder that holds all partial versions of a tile. */
export function partialsPath(level: number, index: number): string {
  return `tile/${level}/${groupsOfThree(index)}.p`;
}

function groupsOfThree(index: number): string {
  let path = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  }
  return path;
}

/** How many hashes level `level` has in a tree of `size` leaves: its perfect subtrees of height `8 · level`. */
export function hashesAtLevel(level: number, size: number): number {
  return Math.floor(size / 2 ** (TILE_HEIGHT * level));
}

/** How wide tile `index` of `level` is in a tree of `size` leaves; 0 where the tree does not reach it. */
export function tileWidth(level: number, index: number, size: number): number {
  return Math.max(0, Math.min(TILE_WIDTH, hashesAtLevel(level, size) - index * TILE_WIDTH));
}

/** The rightmost tile of every level that is not empty: what a tree's root is made of. From level 0 up. */
export function edgeTiles(size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0; hashesAtLevel(level, size) > 0; level++) {
    const index = Math.floor((hashesAtLevel(level, size) - 1) / TILE_WIDTH);
    tiles.push({ level, index, width: tileWidth(level, index, size) });
  }
  return tiles;
}

/** Where a perfect subtree's hash comes from: `count` hashes of a tile from `first` on. */
export interface TileSlice {
  readonly level: number;
  readonly index: number;
  readonly first: number;
  readonly count: number;
}

/** See {@link TileSlice}. */
export function sliceOf({ height, index }: Subtree): TileSlice {
  const level = Math.floor(height / TILE_HEIGHT);
  const count = 2 ** (height % TILE_HEIGHT);
  const start = index * count;
  return { level, index: Math.floor(start / TILE_WIDTH), first: start % TILE_WIDTH, count };
}

/** The subtree's hash, from the bytes of the tile that {@link sliceOf} names. Throws RangeError where the tile is too narrow. */
export function subtreeHash(tile: Uint8Array, { first, count }: TileSlice): Buffer {
  const slice = tile.subarray(first * HASH_BYTES, (first + count) * HASH_BYTES);
  if (slice.length !== count * HASH_BYTES) throw new RangeError('the tile does not reach that subtree');
  return perfectRoot(slice);
}
