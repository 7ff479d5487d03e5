import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Block, encodeBlock, mergeBlocks } from './block.ts';
import { type Document, decodeTail, encodeTail, extendedTail, idHashOf } from './document.ts';

const words = fc.uniqueArray(
  fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => text.isWellFormed()),
    fc.constantFrom('a', 'ab', 'abc', 'b', 'x'.repeat(64)),
  ),
  { maxLength: 40 },
);

const documents = fc
  .array(fc.tuple(words, fc.nat(3), fc.nat(2), fc.nat(63)), { minLength: 1, maxLength: 30 })
  .map((all) =>
    all.map(
      ([texts, count, key, length], index): Document => ({
        position: 2 ** 40 + 7 * index,
        sentAtS: 1_700_000_000 - 50 * index,
        idHash: idHashOf(`$event${index}`),
        serverHash: 13 * index,
        key,
        length,
        words: new Map(texts.map((text) => [text, count + 1])),
      }),
    ),
  );

const bytesOf = (text: string) => Buffer.from(text, 'utf8');
const asObjects = (all: readonly Document[]) =>
  all.map((document) => ({ ...document, words: Object.fromEntries(document.words) }));

describe('a block', () => {
  it('gives back the documents that were packed', () => {
    fc.assert(
      fc.property(documents, (all) => {
        expect(asObjects(new Block(encodeBlock(all)).documents())).toEqual(asObjects(all));
        expect(asObjects(decodeTail(encodeTail(all)))).toEqual(asObjects(all));
      }),
    );
  });

  it('finds the documents of a word, and of words with a beginning', () => {
    fc.assert(
      fc.property(documents, fc.string({ maxLength: 3 }), (all, other) => {
        const block = new Block(encodeBlock(all));
        for (const word of [...(all[0]?.words.keys() ?? []), other].filter((text) => text !== '')) {
          const found: [number, number][] = [];
          block.forEachWith(bytesOf(word), (document, count) => found.push([document, count]));
          const expected = all.flatMap((one, index) => (one.words.has(word) ? [[index, one.words.get(word)]] : []));
          expect(found).toEqual(expected);
          const begun = new Set<number>();
          block.forEachWithPrefix(bytesOf(word), (document) => begun.add(document));
          const starting = all.flatMap((one, index) =>
            [...one.words.keys()].some((w) => w.startsWith(word)) ? [index] : [],
          );
          expect([...begun].sort((a, b) => a - b)).toEqual(starting);
        }
      }),
    );
  });

  it('merged with others is the same as packed at once', () => {
    fc.assert(
      fc.property(documents, fc.nat(29), (all, cut) => {
        const at = Math.min(cut, all.length - 1);
        const parts = [all.slice(0, at), all.slice(at)].filter((part) => part.length > 0);
        const merged = mergeBlocks(parts.map((part) => new Block(encodeBlock(part))));
        expect(merged.equals(encodeBlock(all))).toBe(true);
      }),
    );
  });

  it('finds a document by its id', () => {
    fc.assert(
      fc.property(documents, (all) => {
        const block = new Block(encodeBlock(all));
        for (const [index, { idHash }] of all.entries()) expect(block.find(idHash)).toBe(index);
        expect(block.find(idHashOf('$other'))).toBeUndefined();
      }),
    );
  });
});

describe('a tail', () => {
  it('grows by one document after the other', () => {
    fc.assert(
      fc.property(documents, (all) => {
        const grown = all
          .slice(1)
          .reduce((tail, document) => extendedTail(tail, document), encodeTail(all.slice(0, 1)));
        expect(grown.equals(encodeTail(all))).toBe(true);
      }),
    );
  });
});
