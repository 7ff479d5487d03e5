import { MAX_JSON_DEPTH } from './json-limits.ts';
import { looseNumberText, SpelledNumber } from './loose-numbers.ts';
import type { JsonObject, JsonValue } from './pdu.ts';

/** What keeps a value from having a canonical encoding. */
export type CanonicalJsonProblem = 'not_an_integer' | 'out_of_range' | 'lone_surrogate' | 'too_deep' | 'not_json';

const PROBLEM_TEXT: Record<CanonicalJsonProblem, string> = {
  not_an_integer: 'Numbers in events must be integers.',
  out_of_range: 'Integers in events must lie between -(2^53)+1 and (2^53)-1.',
  lone_surrogate: 'Strings in events must be valid Unicode: half of a surrogate pair was found.',
  too_deep: `Events must not nest more than ${MAX_JSON_DEPTH} levels deep.`,
  not_json: 'The value is not JSON.',
};

/** A value that has no canonical encoding. Clients get `M_BAD_JSON`; events over federation are dropped. */
export class CanonicalJsonError extends Error {
  override readonly name = 'CanonicalJsonError';
  readonly problem: CanonicalJsonProblem;
  constructor(problem: CanonicalJsonProblem) {
    super(PROBLEM_TEXT[problem]);
    this.problem = problem;
  }
}

/**
 * The canonical encoding of a JSON value: the shortest one, keys in order of their code points. Its UTF-8 bytes are
 * what is hashed and signed.
 *
 * Room versions before 6 must not be strict about numbers: with `loose`, fractions and integers out of range are written
 * as Python's encoder, by which those rooms' hashes were made, writes them. Plain parsing loses what it takes for that
 * (`1.0` becomes `1`); `parseJsonExactly` keeps it.
 *
 * Members that are `undefined` are skipped. Negative zero is written as `0`, as the specification's example asks.
 * Source: appendices, "Canonical JSON"; strict from room version 6 on.
 *
 * @throws {CanonicalJsonError} for fractions, integers beyond ±(2^53-1), lone surrogates, and nesting deeper than
 *   `MAX_JSON_DEPTH`; with `loose` also for numbers that are not finite, but not for the first two.
 */
export function canonicalJson(value: JsonValue, strictness: NumberStrictness = 'strict'): string {
  return encodeValue(value, 0, strictness === 'loose' ? encodeLooseNumber : encodeNumber);
}

/** Whether numbers have to keep to canonical JSON. */
export type NumberStrictness = 'strict' | 'loose';

/**
 * As {@link canonicalJson}, for one member of an object: `"key":value`. It may nest as deep as it may inside of the
 * object.
 * Source: appendices, "Canonical JSON".
 */
export function canonicalMember(key: string, value: JsonValue, strictness: NumberStrictness = 'strict'): string {
  const encoded = encodeValue(value, 1, strictness === 'loose' ? encodeLooseNumber : encodeNumber);
  return `${encodeString(key)}:${encoded}`;
}

/**
 * The keys of an object in canonical order: by code point, keys whose value is `undefined` included.
 * Source: appendices, "Canonical JSON".
 */
export function canonicalKeys(object: JsonObject): string[] {
  const keys = Object.keys(object);
  sortKeys(keys);
  return keys;
}

type NumberEncoder = (value: number) => string;

function encodeValue(value: JsonValue, depth: number, number: NumberEncoder): string {
  if (typeof value === 'string') return encodeString(value);
  if (typeof value === 'number') return number(value);
  if (value === null) return 'null';
  if (value === true) return 'true';
  if (value === false) return 'false';
  if (typeof value !== 'object') throw new CanonicalJsonError('not_json');
  if (value instanceof SpelledNumber) return encodeSpelled(value, number);
  if (depth === MAX_JSON_DEPTH) throw new CanonicalJsonError('too_deep');
  return isArray(value) ? encodeArray(value, depth + 1, number) : encodeObject(value, depth + 1, number);
}

/** `Array.isArray` does not narrow readonly arrays away from the other branch. */
function isArray(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function encodeArray(array: readonly JsonValue[], depth: number, number: NumberEncoder): string {
  let out = '[';
  for (let index = 0; index < array.length; index += 1) {
    if (index > 0) out += ',';
    out += encodeValue(array[index] as JsonValue, depth, number);
  }
  return `${out}]`;
}

function encodeObject(object: JsonObject, depth: number, number: NumberEncoder): string {
  const keys = canonicalKeys(object);
  let out = '';
  for (const key of keys) {
    const value = object[key];
    if (value === undefined) continue;
    out += `${out === '' ? '{' : ','}${encodeString(key)}:${encodeValue(value, depth, number)}`;
  }
  return out === '' ? '{}' : `${out}}`;
}

function encodeNumber(value: number): string {
  if (Number.isSafeInteger(value)) return value === 0 ? '0' : `${value}`;
  throw new CanonicalJsonError(Number.isInteger(value) ? 'out_of_range' : 'not_an_integer');
}

function encodeLooseNumber(value: number): string {
  if (!Number.isFinite(value)) throw new CanonicalJsonError('out_of_range');
  return looseNumberText(value);
}

function encodeSpelled({ text, isFloat }: SpelledNumber, number: NumberEncoder): string {
  if (number === encodeLooseNumber) return text;
  throw new CanonicalJsonError(isFloat ? 'not_an_integer' : 'out_of_range');
}

/** What cannot be copied between quotes as it is. Surrogates are here because a lone one is an error. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to be escaped.
const NEEDS_CARE = /["\\\u0000-\u001f\ud800-\udfff]/;

function encodeString(text: string): string {
  if (!NEEDS_CARE.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new CanonicalJsonError('lone_surrogate');
  // JSON.stringify escapes exactly what the canonical grammar escapes, in the same way.
  return JSON.stringify(text);
}

/** Insertion sort beats the built-in sort up to about this many keys; events have a dozen, often sorted already. */
const INSERTION_SORT_KEYS = 24;

/**
 * UTF-16 order and code point order differ only where a surrogate (a character above U+FFFF) meets one of
 * U+E000–U+FFFF, so the quick comparison serves unless a key holds a surrogate.
 */
const SURROGATE = /[\ud800-\udfff]/;

function sortKeys(keys: string[]): void {
  if (keys.some(holdsSurrogate)) {
    keys.sort(compareCodePoints);
    return;
  }
  if (keys.length > INSERTION_SORT_KEYS) {
    keys.sort();
    return;
  }
  for (let sorted = 1; sorted < keys.length; sorted += 1) {
    const key = keys[sorted] as string;
    let at = sorted;
    while (at > 0 && (keys[at - 1] as string) > key) {
      keys[at] = keys[at - 1] as string;
      at -= 1;
    }
    keys[at] = key;
  }
}

function holdsSurrogate(text: string): boolean {
  return SURROGATE.test(text);
}

/**
 * Orders strings by Unicode code point (JavaScript's own order is by UTF-16 code unit).
 * Source: appendices, "Canonical JSON".
 */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    const leftIsSurrogate = left >= 0xd800 && left <= 0xdfff;
    const rightIsSurrogate = right >= 0xd800 && right <= 0xdfff;
    if (leftIsSurrogate !== rightIsSurrogate) return leftIsSurrogate ? 1 : -1;
    return left - right;
  }
  return a.length - b.length;
}
