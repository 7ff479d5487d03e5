import { isUtf8 } from 'node:buffer';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { badJson, MatrixError } from './errors.ts';

/** Most bytes of a JSON body, unless an endpoint says otherwise: room for the largest event and what goes around it. */
export const MAX_JSON_BODY_BYTES = 1024 * 1024;

/**
 * The JSON object that the bytes of a body are.
 * @throws {MatrixError} `M_NOT_JSON` or `M_BAD_JSON`.
 */
export function parseJsonBody(bytes: Buffer): JsonObject {
  if (!isUtf8(bytes)) throw new MatrixError('M_NOT_JSON', 'The request body is not UTF-8.');
  const value = parseJson(bytes.toString('utf8'));
  if (!isJsonObject(value)) throw badJson('The request body has to be a JSON object.');
  return value;
}
