/** What the search projection can be asked. All of it reads the committed frontier of the given reader, synchronously. */
import type { Reader } from '#projections/engine/reader.ts';
import { Block } from './block.ts';
import { type Document, decodeTail, SEARCH_KEYS, type SearchKey } from './document.ts';
import { blocks, searchRooms, tails } from './tables.ts';
import { wordsOf } from './words.ts';

/** Words of one search that count. */
export const MAX_SEARCH_WORDS = 32;
/** So many letters the last word needs to stand for all words that begin with it, where words are written with letters. */
const MIN_PREFIX_LENGTH = 2;
const LETTERS = /^[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{N}]+$/u;
/** A word that only begins like the one that was asked for counts so much less. */
const PREFIX_WEIGHT = 0.5;
/** Words of an event of which a match is worth half as much as in one that has nothing else. */
const HALF_LENGTH = 16;

/** What is looked for: events that have all of it. */
export interface SearchTerms {
  /** Folded. */
  readonly words: readonly string[];
  /** The beginning of a word. */
  readonly prefix: string | undefined;
}

/** An event that has the words. */
export interface Hit {
  readonly position: number;
  readonly sentAtS: number;
  readonly key: SearchKey;
  /** Greater for a better match; depends on nothing but the event and the terms. */
  readonly rank: number;
}

/** What a person's search term asks for: all of its words, the last of which may go on. Undefined if there are none. */
export function searchTermsOf(text: string): SearchTerms | undefined {
  const words = [...new Set(wordsOf(text))].slice(0, MAX_SEARCH_WORDS);
  const last = words.at(-1);
  if (last === undefined) return undefined;
  const isPrefix = !LETTERS.test(last) || last.length >= MIN_PREFIX_LENGTH;
  return isPrefix ? { words: words.slice(0, -1), prefix: last } : { words, prefix: undefined };
}

/** The events of a room that have all the words; none of an encrypted room. In no particular order. */
export function searchRoom(reader: Reader, roomId: string, terms: SearchTerms): Hit[] {
  const hits: Hit[] = [];
  forEachHit(reader, roomId, terms, (position, sentAtS, key, rank) => hits.push({ position, sentAtS, key, rank }));
  return hits;
}

/** Told of one event that has the words; see {@link Hit}. */
export type HitVisitor = (position: number, sentAtS: number, key: SearchKey, rank: number) => void;

/** The same without making an object for each: common words are in very many. */
export function forEachHit(reader: Reader, roomId: string, terms: SearchTerms, visit: HitVisitor): void {
  const room = reader.get(searchRooms, [roomId]);
  if (room === undefined || room.isEncrypted) return;
  const tail = reader.get(tails, [room.id]);
  if (tail !== undefined) searchTail(decodeTail(tail), terms, visit);
  const packed: PackedTerms = {
    words: terms.words.map((word) => Buffer.from(word, 'utf8')),
    prefix: terms.prefix === undefined ? undefined : Buffer.from(terms.prefix, 'utf8'),
  };
  const memory = new Scores();
  for (const key of reader.keys(blocks, { prefix: [room.id] })) {
    const bytes = reader.get(blocks, key);
    if (bytes !== undefined) searchBlock(new Block(bytes), packed, memory, visit);
  }
}

interface PackedTerms {
  readonly words: readonly Buffer[];
  readonly prefix: Buffer | undefined;
}

function searchTail(documents: readonly Document[], { words, prefix }: SearchTerms, visit: HitVisitor): void {
  for (const document of documents) {
    let score = 0;
    const isHit = words.every((word) => {
      const count = document.words.get(word) ?? 0;
      score += weightOf(count);
      return count > 0;
    });
    if (!isHit) continue;
    if (prefix !== undefined) {
      let count = 0;
      for (const [word, times] of document.words) if (word.startsWith(prefix)) count += times;
      if (count === 0) continue;
      score += prefixScore(count, document.words.get(prefix) ?? 0);
    }
    visit(document.position, document.sentAtS, keyOf(document.key), rankOf(score, document.length));
  }
}

/** What is known of the documents of one block; all blocks are searched with the same memory. */
class Scores {
  #scores = new Float64Array(0);
  /** How many of the terms were found. */
  #found = new Uint8Array(0);
  /** How often words that only begin like the last term are in it. */
  #begun = new Uint32Array(0);
  #documents = 0;
  #isClean = false;

  begin(documents: number): void {
    this.#documents = documents;
    // Most blocks have nothing of it: they are not worth the cleaning.
    this.#isClean = false;
  }

  /** Notes the n-th term (from 0) in a document that has all before it; tells whether it has. */
  note(document: number, term: number, count: number): boolean {
    if (!this.#isClean) this.#clean();
    if (this.#found[document] !== term) return false;
    this.#found[document] = term + 1;
    this.#scores[document] = (this.#scores[document] ?? 0) + weightOf(count);
    return true;
  }

  /** The same for a word that goes on after the term. Words that do not have been noted before. */
  noteBegun(document: number, term: number, count: number): void {
    if (!this.#isClean) this.#clean();
    const found = this.#found[document];
    const begun = this.#begun[document] ?? 0;
    if (found !== term && (found !== term + 1 || begun === 0)) return;
    this.#found[document] = term + 1;
    this.#begun[document] = begun + count;
  }

  /** Visits the documents that have all the terms, with their scores. */
  forEachComplete(terms: number, visit: (document: number, score: number) => void): void {
    if (!this.#isClean) return;
    for (let document = 0; document < this.#documents; document += 1) {
      if (this.#found[document] !== terms) continue;
      visit(document, (this.#scores[document] ?? 0) + PREFIX_WEIGHT * weightOf(this.#begun[document] ?? 0));
    }
  }

  #clean(): void {
    this.#isClean = true;
    if (this.#documents > this.#found.length) {
      this.#scores = new Float64Array(this.#documents);
      this.#found = new Uint8Array(this.#documents);
      this.#begun = new Uint32Array(this.#documents);
      return;
    }
    this.#scores.fill(0, 0, this.#documents);
    this.#found.fill(0, 0, this.#documents);
    this.#begun.fill(0, 0, this.#documents);
  }
}

function searchBlock(block: Block, { words, prefix }: PackedTerms, scores: Scores, visit: HitVisitor): void {
  scores.begin(block.documentCount);
  let term = 0;
  for (const word of words) {
    let isThere = false;
    block.forEachWith(word, (document, count) => {
      if (scores.note(document, term, count)) isThere = true;
    });
    if (!isThere) return;
    term += 1;
  }
  if (prefix !== undefined) {
    block.forEachWithPrefix(prefix, (document, count, isWhole) => {
      if (isWhole) scores.note(document, term, count);
      else scores.noteBegun(document, term, count);
    });
    term += 1;
  }
  scores.forEachComplete(term, (document, score) => {
    const { position, sentAtS, key, length } = block.head(document);
    visit(position, sentAtS, keyOf(key), rankOf(score, length));
  });
}

/** The second time that a word is in a text tells less than the first. */
function weightOf(count: number): number {
  return count === 0 ? 0 : 1 + Math.log2(count);
}

function prefixScore(count: number, exact: number): number {
  return exact > 0 ? weightOf(exact) : PREFIX_WEIGHT * weightOf(count);
}

function rankOf(score: number, length: number): number {
  return (score * HALF_LENGTH) / (HALF_LENGTH + length);
}

function keyOf(key: number): SearchKey {
  return SEARCH_KEYS[key] ?? 'content.body';
}
