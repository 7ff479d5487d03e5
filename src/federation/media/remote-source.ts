/** Media of other servers, as those hand them out. https://spec.matrix.org/v1.19/server-server-api/#content-repository */
import { Readable } from 'node:stream';
import { limitExceeded, MatrixError, notFound } from '#src/http/errors.ts';
import type { RemoteContent, RemoteMediaSource } from '#src/media/remote-media.ts';
import { type LazyAgent, undici } from '#src/net/undici.ts';
import { AnswerTooLarge, boundedStream, discard } from '../answer-body.ts';
import { type FederationClient, federationPath, type StreamedAnswer } from '../client.ts';
import { FederationError } from '../errors.ts';
import { Slots } from '../slots.ts';
import { dispositionFileName } from './disposition.ts';
import { boundaryOf, NotTwoParts, readMediaPart } from './multipart.ts';

/** For one media, in milliseconds: what a slow line needs for the largest. */
const DEADLINE_MS = 5 * 60_000;
/** For the beginning of an answer, on top of the time in which an upload may come. */
const HEAD_DEADLINE_MS = 15_000;
/** Longest that a body may pause. */
const BODY_PAUSE_MS = 20_000;
/** Bytes of an answer around the media. */
const ENVELOPE_BYTES = 80 * 1024;
/** Media of one server that are fetched at a time: half the connections, so that events and queries find a way beside them. */
const MAX_PER_SERVER = 4;
const MAX_WAITING_PER_SERVER = 50;
const BUSY_RETRY_MS = 2_000;
/** Redirects that are followed from where a server said its media is. */
const MAX_REDIRECTS = 3;
const MAX_URL_LENGTH = 8 * 1024;

export interface FederatedMediaOptions {
  readonly client: FederationClient;
  /** Connects to nothing that other servers have no business with. */
  readonly web: LazyAgent;
  /** Most bytes of one media. */
  readonly maxFileBytes: number;
}

/**
 * Fetches from the server in whose name the media is: with our signature, or, from servers that do not know that yet, the way
 * of old.
 */
export class FederatedMedia implements RemoteMediaSource {
  readonly #options: FederatedMediaOptions;
  readonly #slots = new Slots({ perName: MAX_PER_SERVER, maxWaiting: MAX_WAITING_PER_SERVER });

  constructor(options: FederatedMediaOptions) {
    this.#options = options;
  }

  async fetch(serverName: string, mediaId: string, timeoutMs: number): Promise<RemoteContent> {
    const release = await this.#slots.take(serverName, AbortSignal.timeout(HEAD_DEADLINE_MS)).catch(() => undefined);
    if (release === undefined) throw limitExceeded(BUSY_RETRY_MS);
    try {
      const content = await this.#fetch(serverName, mediaId, timeoutMs);
      const body = Readable.from(named(content.body, serverName), { objectMode: false });
      body.once('close', () => {
        discard(content.body);
        release();
      });
      return { ...content, body };
    } catch (error) {
      release();
      throw toClient(error, serverName);
    }
  }

  async #fetch(serverName: string, mediaId: string, timeoutMs: number): Promise<RemoteContent> {
    const path = federationPath`/_matrix/federation/v1/media/download/${mediaId}?timeout_ms=${String(timeoutMs)}`;
    let answer: StreamedAnswer;
    try {
      answer = await this.#ask(serverName, path, timeoutMs, 'multipart/mixed');
    } catch (error) {
      if (!(error instanceof FederationError) || !isUnknownEndpoint(error)) throw error;
      return this.#fetchUnsigned(serverName, mediaId, timeoutMs);
    }
    const boundary = boundaryOf(headerOf(answer, 'content-type'));
    if (boundary === undefined) {
      discard(answer.body);
      throw new FederationError('bad_answer', serverName, 'its media is not multipart/mixed');
    }
    const { headers, body } = await readMediaPart(answer.body, boundary);
    const location = headers.get('location');
    if (location === undefined) {
      const fileName = dispositionFileName(headers.get('content-disposition'));
      return { body, contentType: headers.get('content-type'), fileName };
    }
    discard(body);
    return this.#follow(serverName, location);
  }

  /** https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3downloadservernamemediaid */
  async #fetchUnsigned(serverName: string, mediaId: string, timeoutMs: number): Promise<RemoteContent> {
    const path = federationPath`/_matrix/media/v3/download/${serverName}/${mediaId}?allow_remote=false&timeout_ms=${String(timeoutMs)}`;
    const answer = await this.#ask(serverName, path, timeoutMs, undefined);
    return contentOf(answer);
  }

  #ask(
    destination: string,
    path: string,
    timeoutMs: number,
    multipart: 'multipart/mixed' | undefined,
  ): Promise<StreamedAnswer> {
    return this.#options.client.stream({
      destination,
      method: 'GET',
      path,
      isSigned: multipart !== undefined,
      accept: multipart ?? '*/*',
      isUrgent: true,
      deadlineMs: DEADLINE_MS,
      headDeadlineMs: timeoutMs + HEAD_DEADLINE_MS,
      maxAnswerBytes: this.#options.maxFileBytes + (multipart === undefined ? 0 : ENVELOPE_BYTES),
    });
  }

  /** Fetches from where the server says that the media is: nothing that says who asks goes there. */
  async #follow(serverName: string, location: string): Promise<RemoteContent> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    let url = urlIn(location, undefined, serverName);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const { statusCode, headers, body } = await undici().request(url, {
        dispatcher: this.#options.web.get(),
        headers: { accept: '*/*' },
        signal,
        headersTimeout: HEAD_DEADLINE_MS,
        bodyTimeout: BODY_PAUSE_MS,
      });
      if (statusCode === 200 && (headers['content-encoding'] ?? 'identity') === 'identity') {
        const { maxFileBytes } = this.#options;
        if (Number(headers['content-length'] ?? 0) > maxFileBytes) {
          discard(body);
          throw new AnswerTooLarge(maxFileBytes);
        }
        const bounded = boundedStream(maxFileBytes);
        body.on('error', (error) => bounded.destroy(error));
        bounded.once('close', () => discard(body));
        return contentOf({ headers, body: body.pipe(bounded) });
      }
      discard(body);
      const next = headers['location'];
      if (statusCode < 300 || statusCode > 399 || typeof next !== 'string') break;
      url = urlIn(next, url, serverName);
    }
    throw new FederationError('bad_answer', serverName, 'the place that it named has no media');
  }
}

function contentOf(answer: StreamedAnswer): RemoteContent {
  return {
    body: answer.body,
    contentType: headerOf(answer, 'content-type'),
    fileName: dispositionFileName(headerOf(answer, 'content-disposition')),
  };
}

/** Only what is encrypted and says nothing of who asks. */
function urlIn(text: string, base: URL | undefined, serverName: string): URL {
  const url = text.length <= MAX_URL_LENGTH ? URL.parse(text, base?.href) : null;
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    throw new FederationError('bad_answer', serverName, 'it named a place that media cannot be fetched from');
  }
  return url;
}

/** What breaks off in the middle is the other server's doing. */
async function* named(body: Readable, serverName: string): AsyncGenerator<Buffer> {
  try {
    yield* body as AsyncIterable<Buffer>;
  } catch (error) {
    throw toClient(error, serverName);
  }
}

function isUnknownEndpoint({ kind, status, errcode }: FederationError): boolean {
  if (kind !== 'http' || (status !== 404 && status !== 405)) return false;
  // Very old servers, and proxies before them, have no code for what they do not know.
  return errcode === undefined || errcode === 'M_UNRECOGNIZED';
}

/** What the client is told of a media that could not be had. */
function toClient(error: unknown, serverName: string): unknown {
  if (error instanceof MatrixError) return error;
  const isTooLarge =
    error instanceof AnswerTooLarge || (error instanceof Error && error.cause instanceof AnswerTooLarge);
  if (isTooLarge) return new MatrixError('M_TOO_LARGE', TOO_LARGE, { status: 502, cause: error });
  if (error instanceof NotTwoParts)
    return new FederationError('bad_answer', serverName, error.message, { cause: error });
  if (!(error instanceof FederationError)) {
    const message = error instanceof Error ? error.message : String(error);
    return new FederationError('unreachable', serverName, message, { cause: error });
  }
  if (error.kind !== 'http') return error;
  if (error.errcode === 'M_NOT_YET_UPLOADED') return new MatrixError('M_NOT_YET_UPLOADED', undefined, { cause: error });
  if (error.errcode === 'M_TOO_LARGE') return new MatrixError('M_TOO_LARGE', TOO_LARGE, { status: 502, cause: error });
  // Whatever it is that the other server has against us: there is nothing that the user could do about it.
  if (error.status === 403 || error.status === 404 || error.status === 405) {
    return notFound('The other server has no such media, or does not give it away.');
  }
  return error;
}

const TOO_LARGE = 'The media is larger than this server fetches.';

function headerOf({ headers }: StreamedAnswer, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}
