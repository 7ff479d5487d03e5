import { endOfString, readJson } from './json-reader.ts';
import { exactNumber } from './loose-numbers.ts';
import type { JsonValue } from './pdu.ts';

/**
 * Deepest nesting of arrays and objects that is accepted, in containers: `[]` is 1 deep, `[[]]` is 2.
 *
 * Chosen so that everything a Python or Rust homeserver of today can parse passes, and so that a recursive walk of an
 * accepted value stays far from the end of the stack.
 */
export const MAX_JSON_DEPTH = 1000;

/** The shortest text that can nest deeper than {@link MAX_JSON_DEPTH} and still be JSON, in UTF-16 code units. */
const SHORTEST_TOO_DEEP = 2 * (MAX_JSON_DEPTH + 1);

/** JSON text that nests deeper than {@link MAX_JSON_DEPTH}. */
export class JsonTooDeepError extends Error {
  override readonly name = 'JsonTooDeepError';
  constructor() {
    super(`The JSON is nested more than ${MAX_JSON_DEPTH} levels deep.`);
  }
}

/** Text that is not JSON. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError';
}

const QUOTE = 0x22;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Whether JSON text nests deeper than {@link MAX_JSON_DEPTH}. One linear pass; the text need not be valid JSON. */
export function isNestedTooDeep(text: string): boolean {
  if (text.length < SHORTEST_TOO_DEEP) return false;
  let depth = 0;
  let index = 0;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      index = endOfString(text, index);
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      if (depth > MAX_JSON_DEPTH) return true;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth -= 1;
    }
    index += 1;
  }
  return false;
}

/** Whether a key in JSON text is written with an escape: a string with a backslash in it, and a colon behind it. */
function hasEscapedKey(text: string): boolean {
  let backslash = text.indexOf('\\');
  if (backslash === -1) return false;
  let open = text.indexOf('"');
  while (open !== -1 && backslash !== -1) {
    const end = endOfString(text, open);
    if (backslash < end) {
      if (isFollowedByColon(text, end)) return true;
      backslash = text.indexOf('\\', end);
    }
    open = text.indexOf('"', end);
  }
  return false;
}

function isFollowedByColon(text: string, from: number): boolean {
  let index = from;
  while (isWhitespace(text.charCodeAt(index))) index += 1;
  return text.charCodeAt(index) === COLON;
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/**
 * Parses JSON text. Use it for everything that others can have a hand in, in place of `JSON.parse`: it bounds the
 * nesting, and it gets escaped keys right, which V8 does not always (see `readJson`). Keys that occur twice in an object
 * keep their last value, as other homeservers have it.
 *
 * @throws {JsonTooDeepError} before anything is built, if the text nests deeper than {@link MAX_JSON_DEPTH}.
 * @throws {JsonSyntaxError} if the text is not JSON.
 */
export function parseJson(text: string): JsonValue {
  if (isNestedTooDeep(text)) throw new JsonTooDeepError();
  try {
    return hasEscapedKey(text) ? readJson(text) : (JSON.parse(text) as JsonValue);
  } catch (error) {
    throw new JsonSyntaxError(error instanceof Error ? error.message : 'The text is not JSON.');
  }
}

/** What a number may look like whose value does not say how it was written. */
const MAYBE_INEXACT = /[0-9][.eE]|[0-9]{16}/;
/** The same with what comes before a number, which most texts do not have at all. */
const MAYBE_INEXACT_ANYWHERE = /[:,[\s]-?[0-9]+(?:[.eE]|[0-9]{15})/;

/** A text that is nothing but such a number. */
const MAYBE_INEXACT_ALONE = /^-?[0-9]+(?:[.eE]|[0-9]{15})/;

/** Whether there may be a number in JSON text that plain parsing changes: one linear pass over what is outside of strings. */
export function mayHoldInexactNumbers(text: string): boolean {
  if (!MAYBE_INEXACT_ANYWHERE.test(text)) return MAYBE_INEXACT_ALONE.test(text);
  let index = 0;
  for (;;) {
    const open = text.indexOf('"', index);
    if (MAYBE_INEXACT.test(text.slice(index, open === -1 ? undefined : open))) return true;
    if (open === -1) return false;
    index = endOfString(text, open);
  }
}

/**
 * As {@link parseJson}, but where plain parsing would change a number, the outcome holds a {@link SpelledNumber}: loose canonical
 * JSON writes `1.0` as `1.0`, and strict canonical JSON refuses it. For whatever other servers hashed or signed, which is all that
 * they send. A text without such a number costs one scan more.
 *
 * @throws as {@link parseJson}.
 */
export function parseJsonExactly(text: string): JsonValue {
  if (!mayHoldInexactNumbers(text)) return parseJson(text);
  if (isNestedTooDeep(text)) throw new JsonTooDeepError();
  try {
    return readJson(text, exactNumber);
  } catch (error) {
    throw new JsonSyntaxError(error instanceof Error ? error.message : 'The text is not JSON.');
  }
}
