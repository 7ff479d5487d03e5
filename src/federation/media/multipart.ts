/**
 * The two parts in which servers hand media to each other: an object about the media, then its bytes or where they are.
 * https://spec.matrix.org/v1.19/server-server-api/#content-repository, RFC 2046 §5.1
 */
import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';

/** Most bytes before the content: what comes before the parts, the object and the headers. */
const MAX_HEAD_BYTES = 64 * 1024;
/** Most bytes behind the content that are read, so that the connection can be used again. */
const MAX_TAIL_BYTES = 4 * 1024;
const BOUNDARY_BYTES = 24;
const CRLF = Buffer.from('\r\n');
const EMPTY_LINE = Buffer.from('\r\n\r\n');

/** An answer is not in the two parts that it has to be in. */
export class NotTwoParts extends Error {
  override readonly name = 'NotTwoParts';
}

/** The second part. */
export interface MediaPart {
  /** By name, in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Fails with {@link NotTwoParts} where the part breaks off. Read it to its end, or destroy it. */
  readonly body: Readable;
}

/** The boundary of a `multipart/mixed` content type; undefined for another type. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const match = /^multipart\/mixed\s*;(.*)$/is.exec(contentType ?? '');
  const named = /(?:^|;)\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(match?.[1] ?? '');
  return named?.[1] ?? named?.[2];
}

/** Reads as far as the bytes of the media begin. @throws {NotTwoParts} and what the source throws. */
export async function readMediaPart(source: Readable, boundary: string): Promise<MediaPart> {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const reader = new MarkReader(source);
  try {
    await reader.upTo(delimiter);
    await reader.upTo(EMPTY_LINE);
    await reader.upTo(delimiter);
    // Of the line of the delimiter, only white space is left.
    if ((await reader.upTo(CRLF)).toString('latin1').trim() !== '') throw new NotTwoParts('there is one part only');
    const headers = headersIn(await reader.upTo(EMPTY_LINE, CRLF));
    const body = Readable.from(reader.contentUpTo(delimiter), { objectMode: false });
    body.once('close', () => source.destroy());
    return { headers, body };
  } catch (error) {
    source.destroy();
    throw error;
  }
}

/** A body of two parts, and the headers that go with it. The content is destroyed with the body. */
export function mediaParts(
  partHeaders: Readonly<Record<string, string>>,
  content: Readable,
  sizeBytes: number,
): { readonly headers: Record<string, string>; readonly body: Readable } {
  const boundary = randomBytes(BOUNDARY_BYTES).toString('hex');
  const lines = Object.entries(partHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(
    `--${boundary}\r\ncontent-type: application/json\r\n\r\n{}\r\n--${boundary}\r\n${lines.join('')}\r\n`,
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const body = Readable.from(around(head, content, tail), { objectMode: false });
  body.once('close', () => content.destroy());
  return {
    headers: {
      'content-type': `multipart/mixed; boundary=${boundary}`,
      'content-length': String(head.length + sizeBytes + tail.length),
    },
    body,
  };
}

async function* around(head: Buffer, content: Readable, tail: Buffer): AsyncGenerator<Buffer> {
  yield head;
  yield* content as AsyncIterable<Buffer>;
  yield tail;
}

/** A stream that is read from one mark to the next. */
class MarkReader {
  readonly #source: AsyncIterator<Buffer>;
  /** What was read and not used; a delimiter may stand at the very beginning, without the line end before it. */
  #rest: Buffer = CRLF;
  #headBytes = 0;

  constructor(source: Readable) {
    this.#source = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** What comes before the mark, which is passed over. `before` counts as if it stood there already. */
  async upTo(mark: Buffer, before?: Buffer): Promise<Buffer> {
    if (before !== undefined) this.#rest = Buffer.concat([before, this.#rest]);
    for (let from = 0; ; ) {
      const at = this.#rest.indexOf(mark, from);
      if (at >= 0) {
        const found = this.#rest.subarray(0, at);
        this.#rest = this.#rest.subarray(at + mark.length);
        return found;
      }
      from = Math.max(0, this.#rest.length - mark.length + 1);
      const chunk = await this.#next();
      this.#headBytes += chunk.length;
      // One chunk may hold more than the head, but is in memory anyway.
      if (this.#headBytes - chunk.length > MAX_HEAD_BYTES) throw new NotTwoParts('its head is too long');
      this.#rest = Buffer.concat([this.#rest, chunk]);
    }
  }

  async *contentUpTo(mark: Buffer): AsyncGenerator<Buffer> {
    for (;;) {
      const at = this.#rest.indexOf(mark);
      if (at >= 0) {
        if (at > 0) yield this.#rest.subarray(0, at);
        await this.#drain(this.#rest.length - at - mark.length);
        return;
      }
      const safe = this.#rest.length - mark.length + 1;
      if (safe > 0) {
        yield this.#rest.subarray(0, safe);
        this.#rest = this.#rest.subarray(safe);
      }
      this.#rest = Buffer.concat([this.#rest, await this.#next()]);
    }
  }

  async #drain(alreadyBytes: number): Promise<void> {
    for (let bytes = alreadyBytes; bytes <= MAX_TAIL_BYTES; ) {
      const { done, value } = await this.#source.next();
      if (done === true) return;
      bytes += value.length;
    }
  }

  async #next(): Promise<Buffer> {
    const { done, value } = await this.#source.next();
    if (done === true) throw new NotTwoParts('it ends too early');
    return value;
  }
}

function headersIn(bytes: Buffer): Map<string, string> {
  const headers = new Map<string, string>();
  // Some servers write file names as they are.
  const text = isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('latin1');
  for (const line of text.replace(/\r\n[ \t]+/g, ' ').split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}
