import { randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Logger } from '#src/log/logger.ts';
import type { EndpointRequest, RawQuery, Requester, ServerRequester } from './endpoint.ts';

/** Tells the requests of one run of the server from those of another. */
const RUN_PREFIX = randomBytes(3).toString('hex');

let callCount = 0;

/** One request on its way through the framework: what the handler sees, filled in step by step. */
export class Call implements EndpointRequest {
  readonly requestId: string;
  readonly startedMs: number;
  readonly closing: AbortSignal;
  /** The Content-Type as it was sent; JSON is read whatever it says. */
  readonly contentType: string | undefined;
  params: Readonly<Record<string, string>>;
  query: RawQuery;
  body: unknown = undefined;
  requester: Requester | ServerRequester | undefined = undefined;
  readonly #request: FastifyRequest;
  readonly #serverLog: Logger;
  #log: Logger | undefined;
  #aborter: AbortController | undefined;
  #isGone = false;

  constructor(request: FastifyRequest, log: Logger, closing: AbortSignal) {
    callCount += 1;
    this.requestId = `${RUN_PREFIX}-${callCount.toString(36)}`;
    this.startedMs = performance.now();
    this.#request = request;
    this.#serverLog = log;
    this.closing = closing;
    this.contentType = request.raw.headers['content-type'];
    this.params = request.params as Record<string, string>;
    this.query = request.query as RawQuery;
  }

  get ip(): string {
    return this.#request.ip;
  }

  get log(): Logger {
    this.#log ??= this.#serverLog.child({ request: this.requestId });
    return this.#log;
  }

  get signal(): AbortSignal {
    if (this.#aborter === undefined) {
      this.#aborter = new AbortController();
      if (this.#isGone) this.#aborter.abort();
    }
    return this.#aborter.signal;
  }

  // A getter, so that handlers may take it out of the request.
  get header(): (name: string) => string | undefined {
    return (name) => {
      if (name === 'authorization') return undefined;
      if (name === 'content-type') return this.contentType;
      const value = this.#request.raw.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    };
  }

  /** Who calls, for the log: a user id or a server name. */
  get caller(): string | undefined {
    const { requester } = this;
    if (requester === undefined) return undefined;
    return 'origin' in requester ? requester.origin : requester.userId;
  }

  /** The client went away before it had its answer. */
  abandon(): void {
    this.#isGone = true;
    this.#aborter?.abort();
  }
}
