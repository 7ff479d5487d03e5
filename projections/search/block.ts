/**
 * A block: the index of some documents of one room as one value, that is searched and merged without being unpacked.
 *
 *     documents   number; then 18 bytes each: position (6), time (4), key and length (1), hash of the event id (5), of the
 *                 sender's server (2)
 *     words       number; where each group of 16 words begins (4 bytes each); then the words in order of their bytes, each
 *                 as the length of what it shares with the one before, the rest, and the documents that it is in: bytes of
 *                 the list, then for each the distance to the one before, doubled, plus one where a count follows
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { type Document, type DocumentHead, ID_HASH_BYTES, SERVER_HASH_BYTES } from './document.ts';

/** Words of one group: what is read through to find one. */
const GROUP_WORDS = 16;
const HASH_AT = 11;
const SERVER_AT = HASH_AT + ID_HASH_BYTES;
const HEAD_BYTES = SERVER_AT + SERVER_HASH_BYTES;
const TIME_AT = 6;
const META_AT = 10;
/** A word has at most 64 UTF-16 code units, and each takes at most 3 bytes. */
const MAX_WORD_BYTES = 192;
/** Room for the words of a block of middling size. */
const MANY_BYTES = 16_384;

/** Packs documents in order of position. Their number is below 2^16. */
export function encodeBlock(documents: readonly Document[]): Buffer {
  const postings = new Map<string, number[]>();
  for (const [index, { words }] of documents.entries()) {
    for (const [word, count] of words) {
      const list = postings.get(word);
      if (list === undefined) postings.set(word, [index, count]);
      else list.push(index, count);
    }
  }
  const out = new WordsWriter();
  for (const word of inByteOrder([...postings.keys()])) {
    const list = postings.get(word) ?? [];
    out.beginWord(wordBytes, wordBytes.write(word, 'utf8'));
    for (let at = 0; at < list.length; at += 2) out.posting(list[at] as number, list[at + 1] as number);
    out.endWord();
  }
  const heads = Buffer.alloc(HEAD_BYTES * documents.length);
  for (const [index, document] of documents.entries()) writeHead(heads, HEAD_BYTES * index, document);
  return assemble([heads], out);
}

const SURROGATE = /[\ud800-\udfff]/;

/** Puts words in the order of their UTF-8 bytes: that of code points, and of code units where no character takes two. */
function inByteOrder(words: string[]): string[] {
  if (!words.some((word) => SURROGATE.test(word))) return words.sort();
  return words.sort((a, b) => Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8')));
}

/** Several blocks as one. All documents of each come before those of the next. */
export function mergeBlocks(blocks: readonly Block[]): Buffer {
  const cursors: WordCursor[] = [];
  let offset = 0;
  for (const block of blocks) {
    const cursor = block.cursor(offset);
    if (cursor.next()) cursors.push(cursor);
    offset += block.documentCount;
  }
  const out = new WordsWriter();
  const word = new Uint8Array(MAX_WORD_BYTES);
  while (cursors.length > 0) {
    let least = cursors[0] as WordCursor;
    for (const cursor of cursors) {
      if (compareBytes(cursor.word, cursor.length, least.word, least.length) < 0) least = cursor;
    }
    const { length } = least;
    for (let index = 0; index < length; index += 1) word[index] = least.word[index] as number;
    out.beginWord(word, length);
    for (let index = 0; index < cursors.length; ) {
      const cursor = cursors[index] as WordCursor;
      const isIt = compareBytes(cursor.word, cursor.length, word, length) === 0;
      if (isIt) cursor.forEachPosting((document, count) => out.posting(cursor.offset + document, count));
      if (isIt && !cursor.next()) cursors.splice(index, 1);
      else index += 1;
    }
    out.endWord();
  }
  return assemble(
    blocks.map((block) => block.headBytes),
    out,
  );
}

function writeHead(target: Buffer, at: number, head: DocumentHead): void {
  const { position, sentAtS, key, length, idHash, serverHash } = head;
  target.writeUIntLE(position, at, 6);
  target.writeUInt32LE(sentAtS, at + TIME_AT);
  target[at + META_AT] = (key << 6) | length;
  target.set(idHash, at + HASH_AT);
  target.writeUIntLE(serverHash, at + SERVER_AT, SERVER_HASH_BYTES);
}

function assemble(heads: readonly Buffer[], words: WordsWriter): Buffer {
  const writer = new ByteWriter();
  writer.varint(heads.reduce((sum, { length }) => sum + length, 0) / HEAD_BYTES);
  for (const part of heads) writer.bytes(part);
  words.finish(writer);
  return writer.taken();
}

/** Writes words that come in order. */
class WordsWriter {
  readonly #groups = new ByteWriter(MANY_BYTES);
  readonly #postings = new ByteWriter();
  readonly #starts: number[] = [];
  readonly #before = new Uint8Array(MAX_WORD_BYTES);
  #beforeLength = 0;
  #count = 0;
  #document = -1;

  beginWord(word: Uint8Array, length: number): void {
    const isFirst = this.#count % GROUP_WORDS === 0;
    if (isFirst) this.#starts.push(this.#groups.length);
    let shared = 0;
    const most = isFirst ? 0 : Math.min(length, this.#beforeLength);
    while (shared < most && word[shared] === this.#before[shared]) shared += 1;
    this.#groups.varint(shared);
    this.#groups.varint(length - shared);
    this.#groups.part(word, shared, length);
    for (let index = shared; index < length; index += 1) this.#before[index] = word[index] as number;
    this.#beforeLength = length;
    this.#count += 1;
    this.#document = -1;
    this.#postings.clear();
  }

  posting(document: number, count: number): void {
    this.#postings.varint(2 * (document - this.#document - 1) + (count > 1 ? 1 : 0));
    if (count > 1) this.#postings.varint(count);
    this.#document = document;
  }

  endWord(): void {
    this.#groups.varint(this.#postings.length);
    this.#groups.append(this.#postings);
  }

  finish(target: ByteWriter): void {
    target.varint(this.#count);
    for (const start of this.#starts) target.u32(start);
    target.append(this.#groups);
  }
}

/** Goes through the words of a block in order. */
class WordCursor {
  /** The word it is at: the first `length` bytes. */
  readonly word: Uint8Array;
  length = 0;
  /** What is added to the numbers of its documents. */
  readonly offset: number;
  readonly #bytes: Buffer;
  readonly #reader: ByteReader;
  #left: number;
  #postingsAt = 0;
  #postingsEnd = 0;

  constructor(bytes: Buffer, at: number, left: number, offset: number, word: Uint8Array) {
    this.word = word;
    this.#bytes = bytes;
    this.#reader = new ByteReader(bytes, at);
    this.#left = left;
    this.offset = offset;
  }

  /** Goes to the next word; false if there is none. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    const reader = this.#reader;
    const shared = reader.varint();
    const rest = reader.varint();
    for (let index = 0; index < rest; index += 1) this.word[shared + index] = this.#bytes[reader.at + index] as number;
    this.length = shared + rest;
    reader.at += rest;
    const length = reader.varint();
    this.#postingsAt = reader.at;
    this.#postingsEnd = reader.at + length;
    reader.at = this.#postingsEnd;
    return true;
  }

  forEachPosting(visit: (document: number, count: number) => void): void {
    const reader = new ByteReader(this.#bytes, this.#postingsAt);
    let document = -1;
    while (reader.at < this.#postingsEnd) {
      const packed = reader.varint();
      document += 1 + (packed >>> 1);
      visit(document, (packed & 1) === 0 ? 1 : reader.varint());
    }
  }
}

/** One word is written at a time. */
const wordBytes = Buffer.alloc(MAX_WORD_BYTES);
/** One word is looked for at a time. */
const searchedWord = new Uint8Array(MAX_WORD_BYTES);

/** A packed block to be searched. */
export class Block {
  readonly documentCount: number;
  readonly #bytes: Buffer;
  readonly #headsAt: number;
  readonly #wordCount: number;
  readonly #startsAt: number;
  readonly #groupsAt: number;

  constructor(bytes: Buffer) {
    const reader = new ByteReader(bytes);
    this.#bytes = bytes;
    this.documentCount = reader.varint();
    this.#headsAt = reader.at;
    reader.at += HEAD_BYTES * this.documentCount;
    this.#wordCount = reader.varint();
    this.#startsAt = reader.at;
    this.#groupsAt = this.#startsAt + 4 * Math.ceil(this.#wordCount / GROUP_WORDS);
  }

  /** A document without its words and the hash of its id. */
  head(document: number): Omit<DocumentHead, 'idHash'> {
    const at = this.#headsAt + HEAD_BYTES * document;
    const meta = this.#bytes[at + META_AT] as number;
    return {
      position: this.#bytes.readUIntLE(at, 6),
      sentAtS: this.#bytes.readUInt32LE(at + TIME_AT),
      key: meta >> 6,
      length: meta & 63,
      serverHash: this.#bytes.readUIntLE(at + SERVER_AT, SERVER_HASH_BYTES),
    };
  }

  #idHash(document: number): Uint8Array {
    const at = this.#headsAt + HEAD_BYTES * document;
    return Uint8Array.from(this.#bytes.subarray(at + HASH_AT, at + SERVER_AT));
  }

  /** All heads, packed. */
  get headBytes(): Buffer {
    return this.#bytes.subarray(this.#headsAt, this.#headsAt + HEAD_BYTES * this.documentCount);
  }

  /** Number of the document with this hash of its event id. */
  find(idHash: Uint8Array): number | undefined {
    const heads = this.headBytes;
    for (let at = heads.indexOf(idHash); at >= 0; at = heads.indexOf(idHash, at + 1)) {
      if (at % HEAD_BYTES === HASH_AT) return Math.floor(at / HEAD_BYTES);
    }
    return undefined;
  }

  /** Visits the documents that have a word, with how often. */
  forEachWith(word: Uint8Array, visit: (document: number, count: number) => void): void {
    for (const cursor = this.#cursorAt(word); cursor.next(); ) {
      const order = compareBytes(cursor.word, cursor.length, word, word.length);
      if (order === 0) cursor.forEachPosting(visit);
      if (order >= 0) return;
    }
  }

  /** Visits the documents that have words with this beginning, once for each such word, with how often. */
  forEachWithPrefix(prefix: Uint8Array, visit: (document: number, count: number, isWhole: boolean) => void): void {
    for (const cursor = this.#cursorAt(prefix); cursor.next(); ) {
      const { word, length } = cursor;
      if (length >= prefix.length && compareBytes(word, prefix.length, prefix, prefix.length) === 0) {
        const isWhole = length === prefix.length;
        cursor.forEachPosting((document, count) => visit(document, count, isWhole));
      } else if (compareBytes(word, length, prefix, prefix.length) > 0) return;
    }
  }

  /** The documents with all their words. */
  documents(): Document[] {
    const words = Array.from({ length: this.documentCount }, () => new Map<string, number>());
    for (const cursor = this.cursor(0); cursor.next(); ) {
      const word = Buffer.from(cursor.word.subarray(0, cursor.length)).toString('utf8');
      cursor.forEachPosting((document, count) => words[document]?.set(word, count));
    }
    return words.map((each, document) => ({
      ...this.head(document),
      idHash: this.#idHash(document),
      words: each,
    }));
  }

  /** Goes through all words. */
  cursor(offset: number): WordCursor {
    return new WordCursor(this.#bytes, this.#groupsAt, this.#wordCount, offset, new Uint8Array(MAX_WORD_BYTES));
  }

  /** Goes through the words from the group on in which this one is, if it is in the block. */
  #cursorAt(word: Uint8Array): WordCursor {
    let low = 0;
    let high = Math.ceil(this.#wordCount / GROUP_WORDS) - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#compareFirst(middle, word) <= 0) low = middle;
      else high = middle - 1;
    }
    const start = this.#wordCount === 0 ? 0 : this.#startOf(low);
    return new WordCursor(this.#bytes, this.#groupsAt + start, this.#wordCount - GROUP_WORDS * low, 0, searchedWord);
  }

  /** Compares the first word of a group, which shares nothing with the one before, with another one. */
  #compareFirst(group: number, word: Uint8Array): number {
    const reader = new ByteReader(this.#bytes, this.#groupsAt + this.#startOf(group) + 1);
    const length = reader.varint();
    return this.#bytes.compare(word, 0, word.length, reader.at, reader.at + length);
  }

  #startOf(group: number): number {
    return this.#bytes.readUInt32LE(this.#startsAt + 4 * group);
  }
}

/** The order of two byte strings, of which the first so many bytes count. Short ones are faster compared here than natively. */
function compareBytes(a: Uint8Array, aLength: number, b: Uint8Array, bLength: number): number {
  const most = Math.min(aLength, bLength);
  for (let index = 0; index < most; index += 1) {
    const difference = (a[index] as number) - (b[index] as number);
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}
