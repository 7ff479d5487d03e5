import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sha256 } from '../record-format.ts';
import { Frontier, perfectRoot, treeRoot } from './merkle.ts';
import { TileBuilder } from './tile-builder.ts';
import { edgeTiles, sliceOf, subtreeHash, tilePath, tileWidth } from './tiles.ts';

test.each([
  [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
  [{ level: 0, index: 0, width: 1 }, 'tile/0/000.p/1'],
  [{ level: 2, index: 1234067, width: 256 }, 'tile/2/x001/x234/067'],
  [{ level: 1, index: 1000, width: 255 }, 'tile/1/x001/000.p/255'],
  [{ level: 0, index: 999, width: 256 }, 'tile/0/999'],
] as const)('the path of %o', (tile, path) => {
  expect(tilePath(tile)).toBe(path);
});

test('a tree of 70,000 leaves has the tiles that the specification counts', () => {
  expect(edgeTiles(70_000)).toEqual([
    { level: 0, index: 273, width: 112 },
    { level: 1, index: 1, width: 17 },
    { level: 2, index: 0, width: 1 },
  ]);
  expect([0, 272, 273, 274].map((index) => tileWidth(0, index, 70_000))).toEqual([256, 256, 112, 0]);
});

test('a tree of 256 leaves is one full tile below a partial one of width 1; none has no tiles', () => {
  expect(edgeTiles(256)).toEqual([
    { level: 0, index: 0, width: 256 },
    { level: 1, index: 0, width: 1 },
  ]);
  expect(edgeTiles(0)).toEqual([]);
});

const leafOf = (index: number) => sha256(Buffer.from(`leaf ${index}`));

/** A builder of `size` leaves, and the tiles it filled by their path. */
function built(size: number): { builder: TileBuilder; tiles: Map<string, Buffer> } {
  const builder = new TileBuilder();
  const tiles = new Map<string, Buffer>();
  for (let i = 0; i < size; i++) builder.append(leafOf(i), ({ tile, bytes }) => tiles.set(tilePath(tile), bytes));
  for (const { tile, bytes } of builder.partials()) tiles.set(tilePath(tile), bytes);
  return { builder, tiles };
}

test('tiles give the root and every subtree of the tree', async () => {
  for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 1000, 65_536, 66_000]) {
    const { builder, tiles } = built(size);
    const frontier = new Frontier();
    for (let i = 0; i < size; i++) frontier.append(leafOf(i));
    expect(builder.size).toBe(size);
    expect(Buffer.from(builder.root())).toEqual(Buffer.from(frontier.root()));
    const fromTiles = await treeRoot(size, (subtree) => {
      const slice = sliceOf(subtree);
      const width = tileWidth(slice.level, slice.index, size);
      return subtreeHash(tiles.get(tilePath({ ...slice, width })) as Buffer, slice);
    });
    expect(Buffer.from(fromTiles)).toEqual(Buffer.from(frontier.root()));
  }
});

test('each hash of a tile is the root of the full tile below it', () => {
  const { tiles } = built(70_000);
  const above = tiles.get('tile/1/000') as Buffer;
  for (const index of [0, 1, 100, 255]) {
    const below = tiles.get(tilePath({ level: 0, index, width: 256 })) as Buffer;
    expect(above.subarray(index * 32, index * 32 + 32)).toEqual(perfectRoot(below));
  }
});

test('a builder that resumes from the rightmost tiles goes on as if it had never stopped', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1500 }), fc.integer({ min: 0, max: 600 }), (size, more) => {
      const before = built(size);
      const contents = edgeTiles(size).map((tile) => before.tiles.get(tilePath(tile)) as Buffer);
      const resumed = TileBuilder.resume(size, contents);
      const filled = new Map<string, Buffer>();
      for (let i = size; i < size + more; i++) {
        resumed.append(leafOf(i), ({ tile, bytes }) => filled.set(tilePath(tile), bytes));
      }
      const whole = built(size + more);
      expect(resumed.root()).toEqual(whole.builder.root());
      expect(resumed.partials()).toEqual(whole.builder.partials());
      for (const [path, bytes] of filled) expect(bytes).toEqual(whole.tiles.get(path));
    }),
    { numRuns: 40 },
  );
});

test('a tile of the wrong length is not resumed from', () => {
  expect(() => TileBuilder.resume(3, [Buffer.alloc(64)])).toThrow(RangeError);
  expect(() => subtreeHash(Buffer.alloc(64), { level: 0, index: 0, first: 2, count: 1 })).toThrow(RangeError);
});
