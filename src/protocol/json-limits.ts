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
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The index after the closing quote of the string that opens at `open`, or the length of the text if it never closes.
 */
function endOfString(text: string, open: number): number {
  let close = text.indexOf('"', open + 1);
  while (close !== -1) {
    let backslashes = 0;
    while (text.charCodeAt(close - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return close + 1;
    close = text.indexOf('"', close + 1);
  }
  return text.length;
}

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

/**
 * Parses JSON text from the network. Keys that occur twice in an object keep their last value, as other homeservers do.
 *
 * @throws {JsonTooDeepError} before anything is built, if the text nests deeper than {@link MAX_JSON_DEPTH}.
 * @throws {JsonSyntaxError} if the text is not JSON.
 */
export function parseJson(text: string): JsonValue {
  if (isNestedTooDeep(text)) throw new JsonTooDeepError();
  try {
    return JSON.parse(text) as JsonValue;
  } catch (error) {
    throw new JsonSyntaxError(error instanceof Error ? error.message : 'The text is not JSON.');
  }
}
