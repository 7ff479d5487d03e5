/**
 * The patterns of push rules: `*` is any run of characters, `?` exactly one, letters match in either case.
 * https://spec.matrix.org/v1.19/appendices/#glob-style-matching
 *
 * A pattern is cut at its stars into pieces, and each piece is looked for once, from where the one before was found: the
 * leftmost place leaves the most room for the rest. So there is no backtracking for a hostile pattern or text to blow up.
 */

/** Pieces up to this length are searched for by the engine's own search, whose worst case is length times text. */
const MAX_PLAIN_PIECE_LENGTH = 32;
/** Stands for `?` among the codes of a piece. */
const ANY_CODE = -1;
const BITS = 32;

/** A compiled pattern. Texts have to be in lower case. */
export interface Glob {
  /** Whether the pattern is the whole text. */
  matchesAll(text: string): boolean;
  /** Whether the pattern is a part of the text that begins and ends at word boundaries. */
  matchesWords(text: string): boolean;
}

/** Compiles a pattern. */
export function compileGlob(pattern: string): Glob {
  const lowered = pattern.toLowerCase();
  const pieces = lowered.split('*').map((piece) => compilePiece(piece, lowered.includes('?')));
  return lowered.includes('?') ? new CodeGlob(pieces) : new TextGlob(pieces, lowered);
}

/** Compiles a text in which nothing is special. */
export function compileLiteral(text: string): Glob {
  const lowered = text.toLowerCase();
  return new TextGlob([compilePiece(lowered, false)], lowered);
}

/** What stands between two stars. */
interface Piece {
  readonly length: number;
  /** The first wanted place where it is found, at or after one; -1 if there is none. */
  find(text: Text, from: number, isWanted?: IsWanted): number;
  isAt(text: Text, at: number): boolean;
}

type IsWanted = (at: number) => boolean;

/** A text as the characters that a `?` counts. */
interface Text {
  readonly length: number;
  readonly text: string;
  code(index: number): number;
}

class TextGlob implements Glob {
  readonly #pieces: readonly Piece[];
  readonly #exact: string | undefined;

  constructor(pieces: readonly Piece[], lowered: string) {
    this.#pieces = pieces;
    this.#exact = pieces.length === 1 ? lowered : undefined;
  }

  matchesAll(text: string): boolean {
    if (this.#exact !== undefined) return text === this.#exact;
    return coversAll(new Units(text), this.#pieces);
  }

  matchesWords(text: string): boolean {
    // Most patterns are one short word that is not there.
    if (this.#exact !== undefined && !text.includes(this.#exact)) return false;
    return isWithin(new Units(text), this.#pieces);
  }
}

/** With a `?` characters have to be counted, and one outside the basic plane is two units of a string. */
class CodeGlob implements Glob {
  readonly #pieces: readonly Piece[];

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  matchesAll(text: string): boolean {
    return coversAll(codesOf(text), this.#pieces);
  }

  matchesWords(text: string): boolean {
    return isWithin(codesOf(text), this.#pieces);
  }
}

class Units implements Text {
  readonly text: string;
  readonly length: number;

  constructor(text: string) {
    this.text = text;
    this.length = text.length;
  }

  code(index: number): number {
    return this.text.charCodeAt(index);
  }
}

const SURROGATE = /[\ud800-\udfff]/;

function codesOf(text: string): Text {
  if (!SURROGATE.test(text)) return new Units(text);
  const codes = Uint32Array.from(text, (character) => character.codePointAt(0) ?? 0);
  return { text: '', length: codes.length, code: (index) => codes[index] ?? 0 };
}

function coversAll(text: Text, pieces: readonly Piece[]): boolean {
  const [first, last] = [pieces[0], pieces.at(-1)];
  if (first === undefined || last === undefined) return false;
  if (pieces.length === 1) return text.length === first.length && first.isAt(text, 0);
  const end = text.length - last.length;
  if (end < first.length || !first.isAt(text, 0) || !last.isAt(text, end)) return false;
  const at = afterPieces(text, pieces.slice(1, -1), first.length);
  return at !== undefined && at <= end;
}

function isWithin(text: Text, pieces: readonly Piece[]): boolean {
  const [first, last] = [pieces[0], pieces.at(-1)];
  if (first === undefined || last === undefined) return false;
  if (pieces.length === 1) {
    // An empty pattern is nowhere but in an empty text: it would otherwise be in every one.
    if (first.length === 0) return text.length === 0;
    return first.find(text, 0, (at) => isBoundary(text, at) && isBoundary(text, at + first.length)) !== -1;
  }
  // A star at an end reaches to the end of the text, which is a boundary.
  const start = first.length === 0 ? 0 : first.find(text, 0, (at) => isBoundary(text, at));
  if (start === -1) return false;
  const at = afterPieces(text, pieces.slice(1, -1), start + first.length);
  if (at === undefined) return false;
  return last.length === 0 || last.find(text, at, (found) => isBoundary(text, found + last.length)) !== -1;
}

/** Where the pieces end, each found behind the one before; undefined if one is not there. */
function afterPieces(text: Text, pieces: readonly Piece[], from: number): number | undefined {
  let at = from;
  for (const piece of pieces) {
    const found = piece.find(text, at);
    if (found === -1) return undefined;
    at = found + piece.length;
  }
  return at;
}

/** Whether a word could begin or end between two characters: one of them is not of a word, or missing. */
function isBoundary(text: Text, at: number): boolean {
  return at === 0 || at === text.length || !isOfWord(text.code(at - 1)) || !isOfWord(text.code(at));
}

function isOfWord(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x5f || (code >= 0x41 && code <= 0x5a)
  );
}

function compilePiece(piece: string, countsCharacters: boolean): Piece {
  if (!countsCharacters && piece.length <= MAX_PLAIN_PIECE_LENGTH) {
    return {
      length: piece.length,
      find: (text, from, isWanted) => findPlain(text.text, piece, from, isWanted),
      isAt: ({ text }, at) => text.startsWith(piece, at),
    };
  }
  const codes = countsCharacters
    ? Array.from(piece, (character) => (character === '?' ? ANY_CODE : (character.codePointAt(0) ?? 0)))
    : Array.from({ length: piece.length }, (_, index) => piece.charCodeAt(index));
  return new LongPiece(codes);
}

function findPlain(text: string, piece: string, from: number, isWanted: IsWanted = always): number {
  for (let at = text.indexOf(piece, from); at !== -1; at = text.indexOf(piece, at + 1)) if (isWanted(at)) return at;
  return -1;
}

function always(): boolean {
  return true;
}

/**
 * A piece that is searched for bit by bit: a word of bits says which beginnings of the piece end at a character, so each
 * character of the text costs as many steps as the piece has words.
 */
class LongPiece implements Piece {
  readonly length: number;
  readonly #codes: readonly number[];
  readonly #words: number;
  readonly #masks = new Map<number, Uint32Array>();
  readonly #anyMask: Uint32Array;

  constructor(codes: readonly number[]) {
    this.length = codes.length;
    this.#codes = codes;
    this.#words = Math.max(1, Math.ceil(codes.length / BITS));
    this.#anyMask = new Uint32Array(this.#words);
    for (const [index, code] of codes.entries()) if (code === ANY_CODE) setBit(this.#anyMask, index);
    for (const [index, code] of codes.entries()) {
      if (code === ANY_CODE) continue;
      const mask = this.#masks.get(code) ?? Uint32Array.from(this.#anyMask);
      setBit(mask, index);
      this.#masks.set(code, mask);
    }
  }

  isAt(text: Text, at: number): boolean {
    if (at + this.length > text.length) return false;
    return this.#codes.every((code, index) => code === ANY_CODE || code === text.code(at + index));
  }

  find(text: Text, from: number, isWanted: IsWanted = always): number {
    if (this.length === 0) return from <= text.length ? from : -1;
    const state = new Uint32Array(this.#words);
    const lastWord = this.#words - 1;
    const lastBit = 1 << ((this.length - 1) % BITS);
    for (let index = from; index < text.length; index += 1) {
      const mask = this.#masks.get(text.code(index)) ?? this.#anyMask;
      let carry = 1;
      for (let word = 0; word <= lastWord; word += 1) {
        const before = state[word] ?? 0;
        state[word] = ((before << 1) | carry) & (mask[word] ?? 0);
        carry = before >>> (BITS - 1);
      }
      const at = index + 1 - this.length;
      if (((state[lastWord] ?? 0) & lastBit) !== 0 && isWanted(at)) return at;
    }
    return -1;
  }
}

function setBit(words: Uint32Array, index: number): void {
  const word = Math.floor(index / BITS);
  words[word] = (words[word] ?? 0) | (1 << (index % BITS));
}
