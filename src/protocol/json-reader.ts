import { type MutableJsonObject, setOwnValue } from './json-object.ts';
import type { JsonValue } from './pdu.ts';

const WHITESPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = 0x20;
const BACKSLASH = 0x5c;
/** By how they begin. */
const LITERALS: ReadonlyMap<string, readonly [word: string, value: JsonValue]> = new Map([
  ['t', ['true', true]],
  ['f', ['false', false]],
  ['n', ['null', null]],
]);

/**
 * The index after the closing quote of the JSON string that opens at `open`, or the length of the text if it never
 * closes.
 */
export function endOfString(text: string, open: number): number {
  let close = text.indexOf('"', open + 1);
  while (close !== -1) {
    let backslashes = 0;
    while (text.charCodeAt(close - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return close + 1;
    close = text.indexOf('"', close + 1);
  }
  return text.length;
}

/**
 * Parses JSON text as `JSON.parse` should. V8 (seen in Node 24 and 26, nodejs/node#63785) gives back an escaped key such
 * as `"\""` as `"\\"` once it has seen a certain other text, which would change events behind our back and which a peer
 * could bring about on purpose. This reader is for the few texts with an escaped key; it lets V8 decode single strings
 * only, which it does rightly. It is for texts with unusual numbers, too.
 *
 * The caller bounds the nesting: the reader recurses once for each level.
 *
 * @param numberOf makes a value of the text of a number.
 * @throws {SyntaxError} if the text is not JSON.
 */
export function readJson(text: string, numberOf: (token: string) => JsonValue = Number): JsonValue {
  const reader = new JsonReader(text, numberOf);
  const value = reader.value();
  reader.expectEnd();
  return value;
}

class JsonReader {
  readonly #text: string;
  readonly #numberOf: (token: string) => JsonValue;
  #at = 0;

  constructor(text: string, numberOf: (token: string) => JsonValue) {
    this.#text = text;
    this.#numberOf = numberOf;
  }

  value(): JsonValue {
    this.#skipWhitespace();
    const first = this.#text[this.#at] ?? '';
    if (first === '"') return this.#string();
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    const literal = LITERALS.get(first);
    if (literal === undefined) return this.#number();
    const [word, value] = literal;
    if (!this.#text.startsWith(word, this.#at)) this.#fail();
    this.#at += word.length;
    return value;
  }

  expectEnd(): void {
    this.#skipWhitespace();
    if (this.#at !== this.#text.length) this.#fail();
  }

  #object(): JsonValue {
    const object: MutableJsonObject = {};
    this.#at += 1;
    if (this.#take('}')) return object;
    do {
      this.#skipWhitespace();
      const key = this.#string();
      if (!this.#take(':')) this.#fail();
      setOwnValue(object, key, this.value());
    } while (this.#take(','));
    if (!this.#take('}')) this.#fail();
    return object;
  }

  #array(): JsonValue {
    const array: JsonValue[] = [];
    this.#at += 1;
    if (this.#take(']')) return array;
    do array.push(this.value());
    while (this.#take(','));
    if (!this.#take(']')) this.#fail();
    return array;
  }

  #string(): string {
    if (this.#text[this.#at] !== '"') this.#fail();
    const end = endOfString(this.#text, this.#at);
    const decoded: unknown = JSON.parse(this.#text.slice(this.#at, end));
    this.#at = end;
    return decoded as string;
  }

  #number(): JsonValue {
    const start = this.#at;
    NUMBER.lastIndex = start;
    if (!NUMBER.test(this.#text)) this.#fail();
    this.#at = NUMBER.lastIndex;
    return this.#numberOf(this.#text.slice(start, this.#at));
  }

  /** Steps over a mark, with white space before it, if it is what comes next. */
  #take(mark: string): boolean {
    this.#skipWhitespace();
    if (this.#text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }

  #skipWhitespace(): void {
    // There mostly is none. At the end of the text there is no code, which is not greater.
    if (this.#text.charCodeAt(this.#at) > SPACE) return;
    WHITESPACE.lastIndex = this.#at;
    WHITESPACE.test(this.#text);
    this.#at = WHITESPACE.lastIndex;
  }

  #fail(): never {
    throw new SyntaxError(
      `Unexpected ${this.#at < this.#text.length ? 'text' : 'end'} at position ${this.#at} of the JSON.`,
    );
  }
}
