/** Reading what another server answers, no further than is good. */
import { isUtf8 } from 'node:buffer';
import { type Readable, Transform } from 'node:stream';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';

/** An answer is larger than it may be. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge';
  constructor(maxBytes: number) {
    super(`the answer has more than ${maxBytes} bytes`);
  }
}

/** An answer is not the JSON object that it has to be. */
export class AnswerNotJson extends Error {
  override readonly name = 'AnswerNotJson';
}

/** Lets go of a body that nobody reads to its end, and so of its connection. What goes wrong with it now is nobody's concern. */
export function discard(body: Readable): void {
  // A body that is destroyed early says so with an error, which would end the process if nobody listened.
  body.on('error', () => {});
  body.destroy();
}

/**
 * All bytes of a body. Stops reading where they become too many, or where the announced length says that they will.
 * @throws {AnswerTooLarge} and what the stream throws.
 */
export async function readBody(body: Readable, announcedLength: string | undefined, maxBytes: number): Promise<Buffer> {
  if (Number(announcedLength ?? 0) > maxBytes) {
    discard(body);
    throw new AnswerTooLarge(maxBytes);
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) {
      discard(body);
      throw new AnswerTooLarge(maxBytes);
    }
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size);
}

/**
 * The JSON object that the bytes are, or that is in the list of status and object which the first versions of some endpoints
 * answer; its numbers as they were hashed, since events of old room versions may have any in them. @throws {AnswerNotJson}
 */
export function parseAnswer(bytes: Buffer): JsonObject {
  if (!isUtf8(bytes)) throw new AnswerNotJson('the answer is not UTF-8');
  try {
    const value = parseJsonExactly(bytes.toString('utf8'));
    if (isJsonObject(value)) return value;
    if (Array.isArray(value) && value.length === 2 && isJsonObject(value[1])) return value[1];
  } catch (error) {
    throw new AnswerNotJson(error instanceof Error ? error.message : String(error));
  }
  throw new AnswerNotJson('the answer is not a JSON object');
}

/** Passes a body on up to a number of bytes; then the stream ends with {@link AnswerTooLarge}. */
export function boundedStream(maxBytes: number): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      size += chunk.length;
      if (size > maxBytes) callback(new AnswerTooLarge(maxBytes));
      else callback(null, chunk);
    },
  });
}
