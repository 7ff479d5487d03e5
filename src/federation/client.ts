/** Requests to other servers. https://spec.matrix.org/v1.19/server-server-api/ */
import { finished, type Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { SigningKey } from '#protocol/signing.ts';
import { AddressRefused } from '#src/net/safe-connector.ts';
import { undici, undiciLoaded } from '#src/net/undici.ts';
import { AnswerNotJson, AnswerTooLarge, boundedStream, discard, parseAnswer, readBody } from './answer-body.ts';
import { type ConnectionPools, MAX_CONNECTIONS } from './connections.ts';
import { Deadline } from './deadline.ts';
import type { Destinations } from './destinations.ts';
import { FederationError } from './errors.ts';
import { authorize } from './signed-request.ts';
import { Slots } from './slots.ts';

/** Largest answer, unless a request says otherwise: a page of events. */
export const DEFAULT_MAX_ANSWER_BYTES = 10 * 1024 * 1024;
/** For a request and its answer, connecting included, unless the request says otherwise. */
export const DEFAULT_DEADLINE_MS = 30_000;
/** Most bytes of an answer that only says what went wrong. */
const MAX_ERROR_BYTES = 64 * 1024;
/** Requests to one server that may wait for those before them. */
const MAX_WAITING_PER_DESTINATION = 200;
/** Longest that an answer may pause, in milliseconds. */
const BODY_PAUSE_MS = 20_000;
/** Longest that another server can make us wait by a 429. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

export interface FederationRequest {
  /** Server name. */
  readonly destination: string;
  readonly method: 'GET' | 'PUT' | 'POST';
  /** Path and query, percent-encoded: `/_matrix/federation/v1/…`. See {@link federationPath}. */
  readonly path: string;
  /** The body. */
  readonly content?: JsonObject;
  /** The body where it is canonical JSON already. */
  readonly canonicalContent?: string;
  /** Whether the request is signed; default true. Keys and versions are asked for without. */
  readonly isSigned?: boolean;
  /** For all of it; default {@link DEFAULT_DEADLINE_MS}. */
  readonly deadlineMs?: number;
  /** Default {@link DEFAULT_MAX_ANSWER_BYTES}. */
  readonly maxAnswerBytes?: number;
  /** For the head of an answer, once there is a connection; default: as long as for all of it. */
  readonly headDeadlineMs?: number;
  /** The type of answer that is asked for; default JSON. */
  readonly accept?: string;
  /** Breaks the request off; what is thrown then is the signal's reason. */
  readonly signal?: AbortSignal;
  /** Ask even if the server was found to be down a moment ago: somebody waits for the answer, or has just heard from it. */
  readonly isUrgent?: boolean;
}

/** An answer that is read while it comes. Read it to its end, or destroy it. */
export interface StreamedAnswer {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

export interface FederationClientOptions {
  /** Our own. */
  readonly serverName: string;
  readonly signingKey: SigningKey;
  readonly pools: ConnectionPools;
  readonly destinations: Destinations;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** False if this server talks to no other. */
  readonly isEnabled: boolean;
}

/**
 * A path with its parameters percent-encoded: ``federationPath`/_matrix/federation/v1/event/${eventId}` ``. What others call by a name
 * with half of a surrogate pair in it, which has no encoding, is then something that is not there.
 */
export function federationPath(pieces: TemplateStringsArray, ...parameters: readonly string[]): string {
  return String.raw({ raw: pieces }, ...parameters.map((text) => encodeURIComponent(text.toWellFormed())));
}

/** Asks other servers. */
export class FederationClient {
  readonly #options: FederationClientOptions;
  readonly #slots = new Slots({ perName: MAX_CONNECTIONS, maxWaiting: MAX_WAITING_PER_DESTINATION });

  constructor(options: FederationClientOptions) {
    this.#options = options;
  }

  /** The JSON object that a server answers. @throws {FederationError}, or the reason of the request's signal. */
  async request(request: FederationRequest): Promise<JsonObject> {
    const { maxAnswerBytes = DEFAULT_MAX_ANSWER_BYTES } = request;
    return this.#ask(request, async ({ headers, body }, release) => {
      try {
        return parseAnswer(await readBody(body, textOf(headers['content-length']), maxAnswerBytes));
      } finally {
        release();
      }
    });
  }

  /**
   * An answer as it comes in, for what is large or not JSON. Its deadline goes on until the body has been read.
   * @throws {FederationError}, or the reason of the request's signal. Afterwards the body fails with what went wrong.
   */
  async stream(request: FederationRequest): Promise<StreamedAnswer> {
    const { maxAnswerBytes = DEFAULT_MAX_ANSWER_BYTES } = request;
    return this.#ask(request, async ({ headers, body }, release) => {
      if (Number(textOf(headers['content-length']) ?? 0) > maxAnswerBytes) {
        discard(body);
        throw new AnswerTooLarge(maxAnswerBytes);
      }
      const bounded = boundedStream(maxAnswerBytes);
      body.on('error', (error) => bounded.destroy(error));
      finished(bounded, () => {
        body.destroy();
        release();
      });
      return { headers, body: body.pipe(bounded) };
    });
  }

  /**
   * What `make` makes of an answer while it comes in, for what is too large to be read first. The deadline of the request is for all
   * of it, so `make` should do nothing that takes long; what it does not read to the end is broken off.
   * @throws {FederationError}, or the reason of the request's signal.
   */
  async read<Result>(
    request: FederationRequest,
    make: (body: AsyncIterable<Uint8Array>) => Promise<Result>,
  ): Promise<Result> {
    const { maxAnswerBytes = DEFAULT_MAX_ANSWER_BYTES } = request;
    return this.#ask(request, async ({ headers, body }, release) => {
      if (Number(textOf(headers['content-length']) ?? 0) > maxAnswerBytes) {
        discard(body);
        throw new AnswerTooLarge(maxAnswerBytes);
      }
      const bounded = boundedStream(maxAnswerBytes);
      body.on('error', (error) => bounded.destroy(error));
      try {
        return await make(body.pipe(bounded));
      } finally {
        discard(body);
        release();
      }
    });
  }

  async #ask<Result>(
    request: FederationRequest,
    read: (answer: Dispatcher.ResponseData, release: () => void) => Promise<Result>,
  ): Promise<Result> {
    const { destination } = request;
    const { destinations, isEnabled, serverName } = this.#options;
    if (!isEnabled) throw new FederationError('refused', destination, 'federation is off');
    if (destination === serverName) throw new FederationError('refused', destination, 'this is the server itself');
    await undiciLoaded();
    // What cannot be written down is our own mistake, not the other server's.
    const body = bodyOf(request);
    const attempt = destinations.begin(destination, request.isUrgent === true);
    const deadline = new Deadline(request.deadlineMs ?? DEFAULT_DEADLINE_MS, request.signal);
    const { signal } = deadline;
    let release: (() => void) | undefined;
    const done = (): void => {
      deadline.end();
      release?.();
    };
    try {
      release = await this.#slots.take(destination, signal);
      if (release === undefined) throw new FederationError('busy', destination, 'too many requests wait for it');
      const answer = await this.#send(request, body, signal);
      if (answer.statusCode < 200 || answer.statusCode > 299) throw await this.#errorOf(request, answer);
      if ((answer.headers['content-encoding'] ?? 'identity') !== 'identity') {
        discard(answer.body);
        throw new AnswerNotJson('the answer is compressed, which was not asked for');
      }
      const result = await read(answer, done);
      destinations.alive(destination);
      return result;
    } catch (error) {
      done();
      if (request.signal?.aborted) throw request.signal.reason;
      const failure = toFederationError(destination, error, deadline.isOver);
      if (failure.isServerDown) {
        this.#options.pools.lost(destination);
        destinations.failed(destination, attempt);
      } else if (failure.kind === 'http' || failure.kind === 'bad_answer') {
        destinations.alive(destination);
      }
      throw failure;
    }
  }

  async #send(
    request: FederationRequest,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { destination, method, path, isSigned = true } = request;
    const { serverName, signingKey, pools } = this.#options;
    const { pool, route } = await race(pools.of(destination), signal);
    const headers: Record<string, string> = { host: route.hostHeader, accept: request.accept ?? 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (isSigned) {
      const parts = { method, uri: path, origin: serverName, destination, content: body };
      headers['authorization'] = authorize(parts, signingKey);
    }
    const send = (): Promise<Dispatcher.ResponseData> =>
      pool.request({
        method,
        path,
        headers,
        body: body ?? null,
        signal,
        // Where there is none, the deadline ends a wait for the head of the answer.
        headersTimeout: request.headDeadlineMs ?? 0,
        bodyTimeout: BODY_PAUSE_MS,
      });
    try {
      return await send();
    } catch (error) {
      // The other side closes an idle connection at the same moment. What servers ask of each other can be asked again.
      if (method === 'POST' || !wasClosedWhileIdle(error)) throw error;
      return await send();
    }
  }

  async #errorOf({ destination }: FederationRequest, answer: Dispatcher.ResponseData): Promise<FederationError> {
    const { statusCode: status, headers, body } = answer;
    const said = await readBody(body, textOf(headers['content-length']), MAX_ERROR_BYTES)
      .then(parseAnswer)
      .catch(() => ({}));
    const errcode = stringIn(said, 'errcode');
    const reason = stringIn(said, 'error');
    const roomVersion = stringIn(said, 'room_version');
    const retryAtMs = status === 429 ? this.#retryAt(textOf(headers['retry-after']), said) : undefined;
    return new FederationError('http', destination, `answered ${status} ${errcode ?? ''} ${reason ?? ''}`.trimEnd(), {
      status,
      ...(errcode !== undefined && { errcode }),
      ...(reason !== undefined && { reason }),
      ...(roomVersion !== undefined && { roomVersion }),
      ...(retryAtMs !== undefined && { retryAtMs }),
    });
  }

  #retryAt(header: string | undefined, said: JsonObject): number | undefined {
    const inBody = ownValue(said, 'retry_after_ms');
    const inHeader = header !== undefined && /^\d{1,9}$/.test(header) ? Number(header) * 1000 : undefined;
    const waitMs = inHeader ?? (typeof inBody === 'number' && inBody >= 0 ? inBody : undefined);
    return waitMs === undefined ? undefined : this.#options.clock() + Math.min(waitMs, MAX_RETRY_AFTER_MS);
  }
}

function bodyOf({ content, canonicalContent }: FederationRequest): string | undefined {
  if (canonicalContent !== undefined) return canonicalContent;
  // Events of old room versions may have any number in them.
  return content === undefined ? undefined : canonicalJson(content, 'loose');
}

/** What a promise gives, unless the signal fires first. */
async function race<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw signal.reason;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function wasClosedWhileIdle(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ECONNRESET' || code === 'EPIPE') return true;
  return (
    error instanceof undici().errors.SocketError && (error.socket?.bytesRead ?? 0) > 0 && code === 'UND_ERR_SOCKET'
  );
}

function toFederationError(destination: string, error: unknown, isPastDeadline: boolean): FederationError {
  if (error instanceof FederationError) return error;
  const details = { cause: error };
  if (isPastDeadline) return new FederationError('timed_out', destination, 'did not answer in time', details);
  if (error instanceof AnswerTooLarge || error instanceof AnswerNotJson) {
    return new FederationError('bad_answer', destination, error.message, details);
  }
  const message = error instanceof Error ? error.message : String(error);
  const { errors } = undici();
  if (error instanceof AddressRefused) return new FederationError('refused', destination, message, details);
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError) {
    return new FederationError('bad_answer', destination, `the answer is not HTTP: ${message}`, details);
  }
  if (
    error instanceof errors.BodyTimeoutError ||
    error instanceof errors.HeadersTimeoutError ||
    (error instanceof Error && 'code' in error && error.code === 'ETIMEDOUT')
  ) {
    return new FederationError('timed_out', destination, message, details);
  }
  return new FederationError('unreachable', destination, message, details);
}

function stringIn(said: JsonObject, key: string): string | undefined {
  const value = isJsonObject(said) ? ownValue(said, key) : undefined;
  return typeof value === 'string' ? value : undefined;
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
