import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../record-format.ts';
import {
  EMPTY_ROOT,
  Frontier,
  foldSubtrees,
  hashChildren,
  isConsistent,
  isIncluded,
  perfectRoot,
  proveConsistency,
  proveInclusion,
  rootOfInclusion,
  type Subtree,
  subtreesOf,
  treeRoot,
} from './merkle.ts';

// The inputs and hashes that Certificate Transparency implementations test RFC 6962 with.
const entries = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => Buffer.from(hex, 'hex'));
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const leaves = entries.map((entry) => sha256(Buffer.concat([Buffer.of(0), entry])));

/** MTH as RFC 6962 §2.1 words it. */
function mth(hashes: readonly Uint8Array[]): Uint8Array {
  const [first] = hashes;
  if (first === undefined) return sha256(Buffer.alloc(0));
  if (hashes.length === 1) return first;
  let split = 1;
  while (split * 2 < hashes.length) split *= 2;
  return sha256(Buffer.concat([Buffer.of(1), mth(hashes.slice(0, split)), mth(hashes.slice(split))]));
}

const readerOf =
  (hashes: readonly Uint8Array[]) =>
  ({ height, index }: Subtree) =>
    mth(hashes.slice(index * 2 ** height, (index + 1) * 2 ** height));

const manyLeaves = Array.from({ length: 700 }, (_, i) => sha256(Buffer.from(`leaf ${i}`)));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('roots', () => {
  test.each(roots.map((root, size) => [size, root] as const))('of the first %i leaves', async (size, root) => {
    const frontier = new Frontier();
    for (const leaf of leaves.slice(0, size)) frontier.append(leaf);
    expect(hex(frontier.root())).toBe(root);
    expect(hex(await treeRoot(size, readerOf(leaves)))).toBe(root);
    expect(hex(mth(leaves.slice(0, size)))).toBe(root);
  });

  test('grow by perfect subtrees as by leaves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 9 }), (size, height) => {
        const frontier = new Frontier();
        let at = 0;
        for (; at + 2 ** height <= size; at += 2 ** height) {
          frontier.appendSubtree(height, mth(manyLeaves.slice(at, at + 2 ** height)));
        }
        for (; at < size; at++) frontier.append(manyLeaves[at] as Buffer);
        expect(frontier.size).toBe(size);
        expect(hex(frontier.root())).toBe(hex(mth(manyLeaves.slice(0, size))));
      }),
      { numRuns: 50 },
    );
  });

  test('a subtree that would not be one of the tree is turned down', () => {
    const frontier = new Frontier();
    frontier.append(manyLeaves[0] as Buffer);
    expect(() => frontier.appendSubtree(1, manyLeaves[1] as Buffer)).toThrow(RangeError);
  });

  test('of perfect subtrees, and only of those', () => {
    expect(hex(perfectRoot(Buffer.concat(leaves)))).toBe(roots[8]);
    expect(hex(perfectRoot(leaves[3] as Buffer))).toBe(hex(leaves[3] as Buffer));
    expect(() => perfectRoot(Buffer.concat(leaves.slice(0, 3)))).toThrow(RangeError);
    expect(foldSubtrees([])).toEqual(EMPTY_ROOT);
  });

  test('subtrees of sizes near the largest number stay exact', () => {
    for (const size of [2 ** 53 - 1, 2 ** 52 - 1, 2 ** 52 + 1, 2 ** 40]) {
      const subtrees = subtreesOf({ from: 0, to: size });
      expect(subtrees.reduce((sum, { height }) => sum + 2 ** height, 0)).toBe(size);
      expect(subtrees.every(({ index }) => Number.isSafeInteger(index))).toBe(true);
    }
  });
});

describe('inclusion', () => {
  test('the known audit path of leaf 0 of 8', async () => {
    expect((await proveInclusion(0, 8, readerOf(leaves))).map(hex)).toEqual([
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ]);
  });

  test('every leaf of every small tree is proven, and nowhere else', async () => {
    for (let size = 1; size <= 40; size++) {
      const tree = { size, root: mth(manyLeaves.slice(0, size)) };
      for (let index = 0; index < size; index++) {
        const leaf = manyLeaves[index] as Buffer;
        const path = await proveInclusion(index, size, readerOf(manyLeaves));
        expect(isIncluded(leaf, index, tree, path)).toBe(true);
        expect(isIncluded(leaf, (index + 1) % (size + 1), tree, path)).toBe(false);
        expect(isIncluded(sha256(leaf), index, tree, path)).toBe(false);
        expect(isIncluded(leaf, index, { ...tree, root: EMPTY_ROOT }, path)).toBe(false);
        expect(isIncluded(leaf, index, tree, [...path, EMPTY_ROOT])).toBe(false);
        if (path.length > 0) expect(isIncluded(leaf, index, tree, path.slice(1))).toBe(false);
      }
    }
  });

  test('one changed byte anywhere breaks it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 700 }), fc.nat(), fc.nat(), fc.nat(), async (size, i, p, b) => {
        const index = i % size;
        const path = await proveInclusion(index, size, readerOf(manyLeaves));
        const changed = path.map((hash) => Buffer.from(hash));
        const target = changed[p % changed.length] as Buffer;
        target[b % 32] = (target[b % 32] as number) ^ (1 + (b % 255));
        const tree = { size, root: mth(manyLeaves.slice(0, size)) };
        expect(isIncluded(manyLeaves[index] as Buffer, index, tree, path)).toBe(true);
        expect(isIncluded(manyLeaves[index] as Buffer, index, tree, changed)).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  test('nonsense is refused', async () => {
    const leaf = manyLeaves[0] as Buffer;
    await expect(async () => proveInclusion(5, 5, readerOf(leaves))).rejects.toThrow(RangeError);
    for (const [index, size] of [
      [5, 5],
      [-1, 5],
      [0.5, 5],
      [0, Number.NaN],
      [0, 2 ** 53],
    ] as const) {
      expect(rootOfInclusion(leaf, index, size, [])).toBeUndefined();
    }
    expect(rootOfInclusion(leaf, 0, 2, [Buffer.alloc(31)])).toBeUndefined();
  });

  test('works at the far end of what numbers can count', () => {
    const size = 2 ** 53 - 1;
    const path = Array.from({ length: 53 }, () => EMPTY_ROOT);
    expect(rootOfInclusion(manyLeaves[0] as Buffer, 0, size, path)).toBeInstanceOf(Uint8Array);
    expect(rootOfInclusion(manyLeaves[0] as Buffer, 0, size, path.slice(1))).toBeUndefined();
  });
});

describe('consistency', () => {
  test('every small tree is a prefix of every larger one', async () => {
    for (let size = 0; size <= 33; size++) {
      const newer = { size, root: mth(manyLeaves.slice(0, size)) };
      for (let oldSize = 0; oldSize <= size; oldSize++) {
        const older = { size: oldSize, root: mth(manyLeaves.slice(0, oldSize)) };
        const path = await proveConsistency(oldSize, size, readerOf(manyLeaves));
        expect(isConsistent(older, newer, path)).toBe(true);
        expect(isConsistent({ ...older, root: sha256(older.root) }, newer, path)).toBe(false);
        expect(isConsistent(older, { ...newer, root: sha256(newer.root) }, path)).toBe(oldSize === 0 && size > 0);
        expect(isConsistent(older, newer, [...path, EMPTY_ROOT])).toBe(false);
        if (oldSize < size) expect(isConsistent(newer, older, path)).toBe(false);
        if (path.length > 0) expect(isConsistent(older, newer, path.slice(0, -1))).toBe(false);
      }
    }
  });

  test('a tree in which an old leaf was changed is not a continuation', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 300 }), fc.nat(), fc.nat(), async (size, o, c) => {
        const oldSize = 1 + (o % (size - 1));
        const forged = manyLeaves.slice(0, size);
        forged[c % oldSize] = sha256(Buffer.from('forged'));
        const older = { size: oldSize, root: mth(manyLeaves.slice(0, oldSize)) };
        const newer = { size, root: mth(forged) };
        const path = await proveConsistency(oldSize, size, readerOf(forged));
        expect(isConsistent(older, newer, path)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  test('a larger tree is no prefix', async () => {
    await expect(async () => proveConsistency(6, 5, readerOf(leaves))).rejects.toThrow(RangeError);
  });
});

test('hashing children does not depend on where they lie', () => {
  const both = Buffer.concat([leaves[0] as Buffer, leaves[1] as Buffer]);
  expect(hex(perfectRoot(both))).toBe(hex(hashChildren(leaves[0] as Buffer, leaves[1] as Buffer)));
});
