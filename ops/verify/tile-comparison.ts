/**
 * The tiles against the log. A difference says only that one of the two is wrong: where the log has the published root it
 * is the tile, which can be made again; otherwise it is the log, and the tiles say which of its records were changed.
 */
import { HASH_BYTES } from '#streams/record-format.ts';
import type { TileContent } from '#streams/transparency/tile-builder.ts';
import type { TileFiles } from '#streams/transparency/tile-files.ts';
import { TILE_WIDTH, type Tile, tilePath, tileWidth } from '#streams/transparency/tiles.ts';
import type { Findings } from './finding.ts';
import type { DifferingTile } from './verify-chunk.ts';

/** Differing tiles that are remembered; of the others there is only a finding that there are more. */
const MAX_REMEMBERED_TILES = 1000;

interface DifferingUpperTile {
  readonly tile: Tile;
  /** Place of the first hash that differs. */
  readonly at: number;
}

/** See the file's comment. */
export class TileComparison {
  readonly #files: TileFiles;
  readonly #level0: DifferingTile[] = [];
  readonly #upper: DifferingUpperTile[] = [];
  readonly #missing: string[] = [];
  #forgotten = 0;

  constructor(files: TileFiles) {
    this.#files = files;
  }

  /** Level 0 tiles that a run found to differ. */
  addDiffering(tiles: readonly DifferingTile[]): void {
    for (const tile of tiles) this.#remember(this.#level0, tile);
  }

  /** Compares a tile of level 1 or more with its file. It comes from a tree of level 0 tiles, so its level is one less. */
  async compareUpper({ tile, bytes }: TileContent, publishedSize: number): Promise<void> {
    const level = tile.level + 1;
    const published = { level, index: tile.index, width: tileWidth(level, tile.index, publishedSize) };
    if (published.width < tile.width) return;
    const there = await this.#files.readIfThere(published);
    if (there === undefined) {
      this.#remember(this.#missing, this.#files.pathOf(published));
      return;
    }
    for (let at = 0; at < tile.width; at++) {
      const start = at * HASH_BYTES;
      const end = start + HASH_BYTES;
      if (there.compare(bytes, start, end, start, end) === 0) continue;
      this.#remember(this.#upper, { tile: published, at });
      return;
    }
  }

  /** Says what the differences mean. */
  report(findings: Findings, isLogRight: boolean): void {
    for (const path of this.#missing) findings.add({ kind: 'tile', message: `${path} is missing or cut short` });
    if (isLogRight) this.#reportTiles(findings);
    else this.#reportRecords(findings);
    if (this.#forgotten > 0) {
      findings.add({ kind: 'tile', message: `${this.#forgotten} more tiles are not what the log gives` });
    }
  }

  #reportTiles(findings: Findings): void {
    const paths = this.#level0.map(({ path }) => path);
    for (const path of [...paths, ...this.#upper.map(({ tile }) => this.#files.pathOf(tile))]) {
      findings.add({ kind: 'tile', message: `${path} is not what the log gives, which has the published root` });
    }
  }

  #reportRecords(findings: Findings): void {
    for (const { path, positions } of this.#level0) {
      for (const position of positions) {
        const message = `record ${position} is not the one that was published: ${path} has another leaf`;
        findings.add({ kind: 'changed', message, position });
      }
    }
    if (this.#level0.length > 0) return;
    // Who changed a record and its tile has left a trace in the tiles above; the lowest of them says most.
    const lowest = Math.min(...this.#upper.map(({ tile }) => tile.level));
    for (const { tile, at } of this.#upper) {
      if (tile.level !== lowest) continue;
      const records = TILE_WIDTH ** lowest;
      const first = (tile.index * TILE_WIDTH + at) * records;
      const message = `of records ${first} to ${first + records - 1} one is not what was published: see ${tilePath(tile)}`;
      findings.add({ kind: 'changed', message, position: first });
    }
  }

  #remember<T>(list: T[], item: T): void {
    if (list.length < MAX_REMEMBERED_TILES) list.push(item);
    else this.#forgotten++;
  }
}
