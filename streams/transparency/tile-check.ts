/**
 * Checking the tiles against the published head, and making them again from the log. Both go through the whole tree, a
 * tile or some thousand leaves at a time, and let other work run in between.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HASH_BYTES } from '../record-format.ts';
import { perfectRoot, sameBytes, type TreeHead, treeRoot } from './merkle.ts';
import { TileBuilder, type TileContent } from './tile-builder.ts';
import { subtreesFromTiles, type TileFiles, TileMissing } from './tile-files.ts';
import { edgeTiles, TILE_WIDTH, type Tile, tileWidth } from './tiles.ts';

/** Leaves that are taken before other work gets its turn; some 2 ms. */
export const LEAVES_PER_TURN = 2048;

/** Where the tree's leaves come from: the log. */
export interface LeafSource {
  /** Number of durable records. */
  size(): number;
  /** Leaf hashes from leaf `index` on, in order and in batches, up to the size at the time of the call. */
  readLeaves(index: number): AsyncIterable<readonly Uint8Array[]>;
}

/**
 * The log is not what was published of it: it has fewer records (`lost`) or other ones (`changed`). Never healed by
 * itself, since one of the two is evidence; the message names both.
 */
export class HistoryContradicted extends Error {
  override readonly name = 'HistoryContradicted';
  readonly kind: 'lost' | 'changed';
  readonly published: TreeHead;
  /** What the log gives: its size where records were lost, the root of the published size where they were changed. */
  readonly found: { readonly size: number; readonly root?: Uint8Array };

  constructor(published: TreeHead, found: HistoryContradicted['found'], where: string) {
    const root = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    const kind = found.root === undefined ? 'lost' : 'changed';
    const head = `${published.size} records with root ${root(published.root)} were published (${where})`;
    super(
      found.root === undefined
        ? `history was lost: ${head}, but the log has only ${found.size} records. Restore the log's segments from a copy`
        : `history was changed: ${head}, but the log's first ${published.size} records have root ${root(found.root)}. ` +
            '`stele verify` names the records',
    );
    this.kind = kind;
    this.published = published;
    this.found = found;
  }
}

/** Something to tell how far long work has come, and to end it. */
export interface LongWork {
  /** Called now and then with the leaves done so far. */
  readonly onProgress?: (leaves: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * The tiles of the tree that are missing, cut short or not what the tile above them says; from the top down, and nothing
 * below a bad tile, since nothing vouches for it. Without findings every tile belongs to the head.
 */
export async function findBadTiles(files: TileFiles, head: TreeHead, work: LongWork = {}): Promise<Tile[]> {
  const edge = edgeTiles(head.size);
  const root = await treeRoot(head.size, subtreesFromTiles(files, head.size)).catch((error: unknown) => {
    if (error instanceof TileMissing) return undefined;
    throw error;
  });
  if (root === undefined || !sameBytes(root, head.root)) return edge;
  const bad: Tile[] = [];
  let checkedLeaves = 0;
  // The head vouches for the rightmost tiles; each of their hashes for the full tile below it, and so on down.
  const toCheck = edge.map((tile) => ({ tile, expected: undefined as Uint8Array | undefined }));
  for (let next = toCheck.pop(); next !== undefined; next = toCheck.pop()) {
    work.signal?.throwIfAborted();
    const { tile, expected } = next;
    const bytes = await files.readIfThere(tile);
    if (bytes === undefined || (expected !== undefined && !sameBytes(perfectRoot(bytes), expected))) {
      bad.push(tile);
      continue;
    }
    if (tile.level === 0) {
      checkedLeaves += tile.width;
      work.onProgress?.(checkedLeaves);
    } else {
      for (let i = tile.width - 1; i >= 0; i--) {
        const below = { level: tile.level - 1, index: tile.index * TILE_WIDTH + i, width: TILE_WIDTH };
        const hash = bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES);
        // The rightmost full tile below may be on the edge itself and so already in the list; checking it twice is cheap.
        toCheck.push({ tile: below, expected: hash });
      }
    }
    await nextTurn();
  }
  return bad;
}

/**
 * Makes the tiles of the published tree again from the log's leaves and replaces those whose files differ. Only when the
 * root has come out as published is anything replaced. Gives the tiles that were. Throws {@link HistoryContradicted}.
 */
export async function remakeTiles(
  files: TileFiles,
  leaves: LeafSource,
  head: TreeHead,
  work: LongWork = {},
): Promise<Tile[]> {
  if (leaves.size() < head.size) throw new HistoryContradicted(head, { size: leaves.size() }, files.checkpointPath);
  const builder = new TileBuilder();
  const proposed: Tile[] = [];
  const propose = async (content: TileContent) => {
    const there = await files.readIfThere(content.tile);
    if (there !== undefined && sameBytes(there, content.bytes)) return;
    await files.propose(content);
    proposed.push(content.tile);
  };
  try {
    for await (const full of fullTiles(builder, leaves, head.size, work)) await propose(full);
    for (const partial of builder.partials()) await propose(partial);
    const root = builder.root();
    if (builder.size !== head.size || !sameBytes(root, head.root)) {
      throw new HistoryContradicted(head, { size: builder.size, root }, files.checkpointPath);
    }
  } catch (error) {
    await files.discard(proposed);
    throw error;
  }
  await files.adopt(proposed);
  return proposed;
}

/** Grows the builder to `size` leaves from the log and gives the tiles that fill on the way. */
export async function* fullTiles(
  builder: TileBuilder,
  leaves: LeafSource,
  size: number,
  work: LongWork = {},
): AsyncGenerator<TileContent> {
  if (builder.size >= size) return;
  const filled: TileContent[] = [];
  let untilTurn = LEAVES_PER_TURN;
  for await (const batch of leaves.readLeaves(builder.size)) {
    for (const leaf of batch) {
      if (builder.size === size) break;
      builder.append(leaf, (full) => filled.push(full));
      if (--untilTurn > 0) continue;
      untilTurn = LEAVES_PER_TURN;
      yield* filled.splice(0);
      work.signal?.throwIfAborted();
      work.onProgress?.(builder.size);
      await nextTurn();
    }
    if (builder.size === size) break;
  }
  yield* filled;
}

/** The builder as it was at the head, from its rightmost tiles; undefined where these are missing or give another root. */
export async function resumeBuilder(files: TileFiles, head: TreeHead): Promise<TileBuilder | undefined> {
  const contents = await Promise.all(edgeTiles(head.size).map((tile) => files.readIfThere(tile)));
  if (contents.some((bytes) => bytes === undefined)) return undefined;
  const builder = TileBuilder.resume(head.size, contents as Uint8Array[]);
  return sameBytes(await treeRoot(head.size, subtreesFromTiles(files, head.size)), head.root) ? builder : undefined;
}

/** Whether the log's last leaves below the head are those of its rightmost tile. Throws {@link HistoryContradicted} `lost`. */
export async function lastLeavesMatch(files: TileFiles, leaves: LeafSource, head: TreeHead): Promise<boolean> {
  if (leaves.size() < head.size) throw new HistoryContradicted(head, { size: leaves.size() }, files.checkpointPath);
  const last = edgeTiles(head.size)[0];
  if (last === undefined) return true;
  const tile = await files.read({ ...last, width: tileWidth(0, last.index, head.size) });
  let at = 0;
  for await (const batch of leaves.readLeaves(last.index * TILE_WIDTH)) {
    for (const leaf of batch) {
      if (at === tile.length) return true;
      if (!sameBytes(leaf, tile.subarray(at, at + HASH_BYTES))) return false;
      at += HASH_BYTES;
    }
  }
  return at === tile.length;
}
