import { isUtf8 } from 'node:buffer';
import { parseJson, type parseJsonExactly } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { badJson, MatrixError } from './errors.ts';

/** Most bytes of a JSON body, unless an endpoint says otherwise: room for the largest event and what goes around it. */
export const MAX_JSON_BODY_BYTES = 1024 * 1024;

/** An escape of a surrogate. In UTF-8 half of a pair can only come as one. */
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;
/** `JSON.stringify` escapes a surrogate only where it is half of a pair; a backslash of the text itself is doubled. */
const HALF_OF_A_PAIR = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/**
 * The JSON object that the bytes of a body are. Texts with half of a surrogate pair in them are no Unicode: other clients
 * could not read them, and what is stored would not be what is read back.
 *
 * @param parse for bodies that were signed `parseJsonExactly`: what was signed holds numbers as they were written.
 * @throws {MatrixError} `M_NOT_JSON` or `M_BAD_JSON`.
 */
export function parseJsonBody(
  bytes: Buffer,
  parse: typeof parseJson | typeof parseJsonExactly = parseJson,
): JsonObject {
  if (!isUtf8(bytes)) throw new MatrixError('M_NOT_JSON', 'The request body is not UTF-8.');
  const text = bytes.toString('utf8');
  const value = parse(text);
  if (SURROGATE_ESCAPE.test(text)) requireWholePairs(bytes, value);
  if (!isJsonObject(value)) throw badJson('The request body has to be a JSON object.');
  return value;
}

/** @throws {MatrixError} `M_BAD_JSON` where a text of the value that the bytes are has half of a surrogate pair in it. */
export function requireWholePairs(bytes: Buffer, value: JsonValue): void {
  if (!bytes.includes('\\u')) return;
  if (SURROGATE_ESCAPE.test(bytes.toString('latin1')) && HALF_OF_A_PAIR.test(JSON.stringify(value))) {
    throw badJson('A text in the request body has half of a surrogate pair in it.');
  }
}
