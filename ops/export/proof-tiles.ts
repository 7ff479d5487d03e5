/** The hash tiles that lead from exported records to the checkpoint. */
import { join } from 'node:path';
import type { TileFiles } from '#streams/transparency/tile-files.ts';
import { edgeTiles, hashesAtLevel, TILE_HEIGHT, type Tile, tilePath, tileWidth } from '#streams/transparency/tiles.ts';
import { writeWhole } from './files.ts';

/** The tiles on the way of these leaves up a tree of so many, and those at its right edge: all that their proofs are made of. */
export function tilesOfProofs(positions: Iterable<number>, size: number): Tile[] {
  const tiles = new Map<string, Tile>();
  const add = (tile: Tile): void => void tiles.set(tilePath(tile), tile);
  for (const tile of edgeTiles(size)) add(tile);
  const groups = new Set<number>();
  for (const position of positions) groups.add(Math.floor(position / 2 ** TILE_HEIGHT));
  for (let level = 0, indexes = groups; hashesAtLevel(level, size) > 0; level += 1) {
    const above = new Set<number>();
    for (const index of indexes) {
      const width = tileWidth(level, index, size);
      if (width > 0) add({ level, index, width });
      above.add(Math.floor(index / 2 ** TILE_HEIGHT));
    }
    indexes = above;
  }
  return [...tiles.values()];
}

/** Copies tiles into an export, at the same paths. Throws `TileMissing`. */
export async function copyTiles(tiles: readonly Tile[], from: TileFiles, folder: string): Promise<void> {
  for (const tile of tiles) await writeWhole(join(folder, tilePath(tile)), await from.read(tile));
}
