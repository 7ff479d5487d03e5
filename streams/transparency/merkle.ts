/**
 * The Merkle tree of RFC 6962 §2.1 over leaf hashes: roots, inclusion proofs and consistency proofs, made and checked.
 * Pure: whoever makes a proof passes in how to read the hash of a perfect subtree (see tiles.ts), whoever checks one
 * needs nothing but the proof. Sizes and indices are plain numbers below 2^53, so halving is division, never a shift.
 */
import { HASH_BYTES, sha256, writeSha256 } from '../record-format.ts';

/** A perfect subtree: the leaves from `index · 2^height`, `2^height` of them. Height 0 is a leaf. */
export interface Subtree {
  readonly height: number;
  readonly index: number;
}

/** Gives the 32-byte hash of a perfect subtree that the tree is known to hold. */
export type SubtreeReader = (subtree: Subtree) => Promise<Uint8Array> | Uint8Array;

/** Root of the tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = sha256(Buffer.alloc(0));

/** Longest path a proof can have: a tree of 2^53 leaves is 53 high, a consistency proof adds one. */
export const MAX_PROOF_HASHES = 54;

const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** The hash of an inner node. */
export function hashChildren(left: Uint8Array, right: Uint8Array): Buffer {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}

/** The hash over `2^n` consecutive hashes (concatenated, 32 bytes each): the root of the perfect subtree they span. */
export function perfectRoot(hashes: Uint8Array): Buffer {
  let width = hashes.length / HASH_BYTES;
  if (width < 1 || !Number.isInteger(Math.log2(width))) throw new RangeError(`${width} hashes span no perfect subtree`);
  if (width === 1) return Buffer.from(hashes);
  const level = Buffer.allocUnsafe((width / 2) * HASH_BYTES);
  let source = Buffer.from(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  while (width > 1) {
    width /= 2;
    for (let i = 0; i < width; i++) {
      // Two children lie side by side.
      source.copy(nodeInput, 1, 2 * i * HASH_BYTES, 2 * (i + 1) * HASH_BYTES);
      writeSha256(level, i * HASH_BYTES, nodeInput);
    }
    source = level;
  }
  return level.subarray(0, HASH_BYTES);
}

/** The right edge of a growing tree: the roots of the perfect subtrees it is made of, so that it can grow and tell its root. */
export class Frontier {
  #size = 0;
  /** Roots of the perfect subtrees, largest (leftmost) first. */
  readonly #subtrees: { readonly height: number; readonly hash: Uint8Array }[] = [];

  /** Number of leaves. */
  get size(): number {
    return this.#size;
  }

  /** Another frontier of the same tree, to grow apart from this one. */
  copy(): Frontier {
    const copy = new Frontier();
    for (const { height, hash } of this.#subtrees) copy.appendSubtree(height, hash);
    return copy;
  }

  append(leaf: Uint8Array): void {
    this.appendSubtree(0, leaf);
  }

  /**
   * Adds the root of a perfect subtree of `2^height` leaves.
   * Throws RangeError where the tree's size is no multiple of that, since the subtree would then not be one of the tree's.
   */
  appendSubtree(height: number, root: Uint8Array): void {
    if (this.#size % 2 ** height !== 0) {
      throw new RangeError(`a subtree of height ${height} cannot follow leaf ${this.#size}`);
    }
    this.#size += 2 ** height;
    let merged = { height, hash: root };
    for (let last = this.#subtrees.at(-1); last?.height === merged.height; last = this.#subtrees.at(-1)) {
      this.#subtrees.pop();
      merged = { height: merged.height + 1, hash: hashChildren(last.hash, merged.hash) };
    }
    this.#subtrees.push(merged);
  }

  root(): Uint8Array {
    return foldSubtrees(this.#subtrees.map((subtree) => subtree.hash));
  }
}

/** Joins the roots of the perfect subtrees of a range, left to right and falling in size, to the range's hash. */
export function foldSubtrees(hashes: readonly Uint8Array[]): Uint8Array {
  let root = hashes.at(-1);
  if (root === undefined) return EMPTY_ROOT;
  for (let i = hashes.length - 2; i >= 0; i--) root = hashChildren(hashes[i] as Uint8Array, root);
  return root;
}

/** Leaves `[from, to)`. In the ranges of proofs `from` is a multiple of a power of two that is at least `to − from`. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** The perfect subtrees that a tree (or the range of a proof) is made of, left to right. */
export function subtreesOf({ from, to }: Range): Subtree[] {
  const subtrees: Subtree[] = [];
  for (let at = from; at < to; ) {
    const height = Math.floor(Math.log2(to - at));
    // log2 of a number just below a power of two may round up to it.
    const fitting = 2 ** height > to - at ? height - 1 : height;
    subtrees.push({ height: fitting, index: at / 2 ** fitting });
    at += 2 ** fitting;
  }
  return subtrees;
}

/** Largest power of two below `leaves` (of which there are at least two). */
function splitPoint(leaves: number): number {
  let split = 1;
  while (split * 2 < leaves) split *= 2;
  return split;
}

/** Ranges whose hashes are the audit path of a leaf, from the leaf up (RFC 6962 §2.1.1). */
function inclusionRanges(index: number, size: number): Range[] {
  const ranges: Range[] = [];
  let from = 0;
  let to = size;
  while (to - from > 1) {
    const middle = from + splitPoint(to - from);
    if (index < middle) {
      ranges.push({ from: middle, to });
      to = middle;
    } else {
      ranges.push({ from, to: middle });
      from = middle;
    }
  }
  return ranges.reverse();
}

/** Ranges whose hashes prove that the tree of `oldSize` is a prefix of the tree of `size` (RFC 6962 §2.1.2). */
function consistencyRanges(oldSize: number, size: number): Range[] {
  if (oldSize === 0 || oldSize === size) return [];
  const ranges: Range[] = [];
  let from = 0;
  let to = size;
  while (to !== oldSize) {
    const middle = from + splitPoint(to - from);
    if (oldSize <= middle) {
      ranges.push({ from: middle, to });
      to = middle;
    } else {
      ranges.push({ from, to: middle });
      from = middle;
    }
  }
  // Where the old tree is itself a subtree, the checker knows its hash: it is the old root.
  if (from !== 0) ranges.push({ from, to });
  return ranges.reverse();
}

async function hashRange(range: Range, read: SubtreeReader): Promise<Uint8Array> {
  return foldSubtrees(await Promise.all(subtreesOf(range).map(read)));
}

/** Root of the tree of the first `size` leaves. */
export function treeRoot(size: number, read: SubtreeReader): Promise<Uint8Array> {
  return hashRange({ from: 0, to: size }, read);
}

/** The audit path of leaf `index` in the tree of `size` leaves, from the leaf up. Throws RangeError where there is no such leaf. */
export function proveInclusion(index: number, size: number, read: SubtreeReader): Promise<Uint8Array[]> {
  if (!isCount(index) || !isCount(size) || index >= size) {
    throw new RangeError(`a tree of ${size} leaves has no leaf ${index}`);
  }
  return Promise.all(inclusionRanges(index, size).map((range) => hashRange(range, read)));
}

/** Proves the tree of `oldSize` leaves to be a prefix of that of `size`. Throws RangeError where it is the larger one. */
export function proveConsistency(oldSize: number, size: number, read: SubtreeReader): Promise<Uint8Array[]> {
  if (!isCount(oldSize) || !isCount(size) || oldSize > size) {
    throw new RangeError(`a tree of ${oldSize} leaves is no prefix of one of ${size}`);
  }
  return Promise.all(consistencyRanges(oldSize, size).map((range) => hashRange(range, read)));
}

/** The root that an audit path leads to, or undefined where its length does not fit the tree (RFC 9162 §2.1.3.2). */
export function rootOfInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Uint8Array | undefined {
  if (!isCount(index) || !isCount(size) || index >= size) return undefined;
  let node = index;
  let last = size - 1;
  let root = leaf;
  for (const sibling of path) {
    if (last === 0 || sibling.length !== HASH_BYTES) return undefined;
    if (node % 2 === 1 || node === last) {
      root = hashChildren(sibling, root);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      root = hashChildren(root, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? root : undefined;
}

/** A tree as its head tells it. */
export interface TreeHead {
  /** Number of leaves. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** Whether the leaf hash is leaf `index` of the tree. */
export function isIncluded(leaf: Uint8Array, index: number, tree: TreeHead, path: readonly Uint8Array[]): boolean {
  const root = rootOfInclusion(leaf, index, tree.size, path);
  return root !== undefined && sameBytes(root, tree.root);
}

/** Whether the older tree is a prefix of the newer one (RFC 9162 §2.1.4.2). */
export function isConsistent(older: TreeHead, newer: TreeHead, path: readonly Uint8Array[]): boolean {
  if (!isCount(older.size) || !isCount(newer.size) || older.size > newer.size) return false;
  if (older.size === newer.size) return path.length === 0 && sameBytes(older.root, newer.root);
  if (older.size === 0) return path.length === 0 && sameBytes(older.root, EMPTY_ROOT);
  let node = older.size - 1;
  let last = newer.size - 1;
  while (node % 2 === 1) {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  // An old tree that is a perfect subtree of the new one starts from its own root; any other from the path's first hash.
  const [start, rest] = node === 0 ? [older.root, path] : [path[0], path.slice(1)];
  if (start?.length !== HASH_BYTES) return false;
  let oldRoot = start;
  let newRoot = start;
  for (const sibling of rest) {
    if (last === 0 || sibling.length !== HASH_BYTES) return false;
    if (node % 2 === 1 || node === last) {
      oldRoot = hashChildren(sibling, oldRoot);
      newRoot = hashChildren(sibling, newRoot);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      newRoot = hashChildren(newRoot, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && sameBytes(oldRoot, older.root) && sameBytes(newRoot, newer.root);
}

/** Whether two byte strings are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
