/**
 * Makes routes of endpoint declarations. The life of a request:
 *
 * ```
 * route found ─▶ call made ─▶ token checked ─▶ rate limit ─▶ body read ─▶ parsed, fitted to the schemas ─▶ handler ─▶ answer
 *      │                           │               │             │                    │                       │
 *      └─ 404, 405                 └─ 401, 403     └─ 429        └─ 413               └─ 400                  └─ its MatrixError
 * ```
 *
 * Where the endpoint declares a capability, the guard is asked right after the token; where it declares what is on record of it,
 * the guard writes that between parsing and the handler (guard.ts).
 *
 * What another server signed can only be checked when the body is there: its credentials are looked at where tokens are, and
 * verified before the body is fitted to its schema; then comes its rate limit.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { parseJsonExactly } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { pretendedAnswer } from '#src/accounts/shadow-ban.ts';
import type { Logger } from '#src/log/logger.ts';
import { RawAnswer } from './answer.ts';
import { MAX_JSON_BODY_BYTES, parseJsonBody } from './body.ts';
import { Call } from './call.ts';
import type {
  Authenticate,
  AuthenticationRequest,
  BegunRequest,
  Endpoint,
  EndpointRequest,
  HandlerResult,
  Method,
  Requester,
  ServerAuthenticator,
  SignedContent,
} from './endpoint.ts';
import { limitExceeded, MatrixError } from './errors.ts';
import type { AuditDeclaration, Described, Guard, LentUse } from './guard.ts';
import { HeldBodies } from './held-bodies.ts';
import { PathMethods } from './path-methods.ts';
import type { RateLimiter } from './rate-limit.ts';
import { routePaths } from './route-paths.ts';
import { send, sendFailure } from './send.ts';
import { applySchema } from './validate.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first step of each endpoint's route. */
    call: Call | undefined;
    /** Verifies the signature of a server; set where the endpoint is for servers. */
    verifyServer: BegunRequest['verify'] | undefined;
  }
}

/** What is reported about each request when it is over. */
export interface Answered {
  readonly method: string;
  /** The path of the declaration, not of the request: no ids, no tokens. */
  readonly route: string;
  /** 499 if the client went away before. */
  readonly status: number;
  readonly durationMs: number;
  readonly requestId: string;
  /** Or the name of the server that called. */
  readonly userId: string | undefined;
  /** The path as it was sent, without its query. It has ids of rooms and users in it. */
  readonly path: string;
}

/** The route of requests that no endpoint answers. */
export const UNKNOWN_ROUTE = 'unknown';

export interface RegisterOptions<C> {
  readonly context: C;
  readonly authenticate: Authenticate;
  /** Needed where endpoints are for servers. */
  readonly authenticateServer?: ServerAuthenticator | undefined;
  /** Needed where endpoints declare a capability or what is on record of them. */
  readonly guard?: Guard | undefined;
  /** Without one nothing is limited. */
  readonly limiter?: RateLimiter | undefined;
  /** Whether a token in the query counts, as it did in earlier versions of the specification. Default true. */
  readonly acceptsTokenInQuery?: boolean | undefined;
  readonly log: Logger;
  /** Fires when the server begins to stop. */
  readonly closing: AbortSignal;
  readonly onAnswered?: ((answered: Answered) => void) | undefined;
}

/** Status in the log of a request whose client did not wait for the answer. */
const CLIENT_GONE = 499;

/**
 * Registers endpoints under all their paths, and gives what methods each path has. To be called once for a Fastify instance that
 * app.ts made.
 */
export function registerEndpoints<C>(
  fastify: FastifyInstance,
  endpoints: readonly Endpoint<C>[],
  options: RegisterOptions<C>,
): PathMethods {
  const paths = new PathMethods();
  const held = new HeldBodies();
  const byBody = Map.groupBy(endpoints, ({ body }) => (body === 'stream' ? 'stream' : 'bytes'));
  for (const [kind, group] of byBody) {
    fastify.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      if (kind === 'stream') scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
      else {
        scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes));
        scope.addHook('preParsing', (request, reply, payload, done) => {
          if (hasBody(request.raw)) held.watch(request.raw, reply.raw);
          done(null, payload);
        });
      }
      for (const endpoint of group) registerOne(scope, endpoint, options);
    });
  }
  for (const { path, aliases, method } of endpoints) {
    for (const { url } of routePaths(path, aliases)) paths.add(url, method);
  }
  for (const { url, methods, allowed } of paths.hidden()) registerOtherMethods(fastify, url, methods, allowed, options);
  return paths;
}

function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
  return length !== '0' || encoding !== undefined;
}

function registerOne<C>(scope: FastifyInstance, endpoint: Endpoint<C>, options: RegisterOptions<C>): void {
  const admit = admission(endpoint, options);
  const respond = responder(endpoint, options);
  const bodyLimit = endpoint.bodyLimitBytes ?? MAX_JSON_BODY_BYTES;
  for (const { url, missing } of routePaths(endpoint.path, endpoint.aliases)) {
    scope.route({
      method: endpoint.method,
      url,
      bodyLimit,
      onRequest: (request, reply, done) => {
        const call = beginCall(request, reply, endpoint.path, options);
        if (missing.length > 0)
          call.params = { ...call.params, ...Object.fromEntries(missing.map((name) => [name, ''])) };
        const admitted = admit(request, call);
        if (admitted === undefined) done();
        else admitted.then(() => done(), done);
      },
      handler: respond,
    });
  }
}

/** Most characters of a path that are reported. */
const MAX_PATH_LENGTH = 500;

function pathOf({ url }: FastifyRequest): string {
  const end = url.indexOf('?');
  return url.slice(0, Math.min(end < 0 ? url.length : end, MAX_PATH_LENGTH));
}

/** Makes the call, and sees to it that its end is noticed, whether by an answer or because the client goes away. */
export function beginCall(
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
  options: Pick<RegisterOptions<never>, 'log' | 'closing' | 'onAnswered'>,
): Call {
  const call = new Call(request, options.log, options.closing);
  request.call = call;
  // JSON is read whatever the client calls it; without a type Fastify asks the catch-all parser at once.
  request.raw.headers['content-type'] = undefined;
  const { raw } = reply;
  raw.once('close', () => {
    const isGone = !raw.writableFinished;
    if (isGone) call.abandon();
    options.onAnswered?.({
      method: request.method,
      route,
      status: isGone ? CLIENT_GONE : raw.statusCode,
      durationMs: performance.now() - call.startedMs,
      requestId: call.requestId,
      userId: call.caller,
      path: pathOf(request),
    });
  });
  return call;
}

type Admit = (request: FastifyRequest, call: Call) => Promise<void> | undefined;

/** The step that checks token and rate limit: throws or rejects with what the client is told. */
function admission<C>(endpoint: Endpoint<C>, options: RegisterOptions<C>): Admit {
  const { auth, rateLimit } = endpoint;
  const { authenticate, limiter, acceptsTokenInQuery = true } = options;

  const limit = (call: Call): void => {
    const requester = call.requester as Requester | undefined;
    if (limiter === undefined || requester?.isUnlimited === true) return;
    const waitMs = limiter.take(rateLimit, requester?.userId, call.ip, requester?.allowance);
    if (waitMs > 0) throw limitExceeded(waitMs);
  };
  if (auth === 'server') {
    const authenticator = serverAuthenticatorOf(endpoint, options);
    return (request, call) => {
      limit(call);
      const { ready, verify } = authenticator.begin(authorizationHeaders(request.raw.rawHeaders));
      request.verifyServer = verify;
      return ready;
    };
  }
  if (auth === 'none') {
    return (_request, call) => {
      limit(call);
      return undefined;
    };
  }
  const { may } = endpoint;
  if ((auth === 'admin') !== (may !== undefined))
    throw new Error(`${endpoint.path}: 'admin' and a capability go together`);
  const guard = may === undefined ? undefined : guardOf(endpoint, options);
  const accept = (call: Call, requester: Requester): Promise<void> | undefined => {
    if (auth === 'user' && requester.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN');
    call.requester = requester;
    limit(call);
    if (guard === undefined || may === undefined) return undefined;
    return guard.admit(requester, { method: endpoint.method, path: endpoint.path, may }, call.ip);
  };
  return (request, call) => {
    const token = headerToken(request) ?? (acceptsTokenInQuery ? queryToken(call) : undefined);
    if (token === undefined) {
      if (auth !== 'optional') throw new MatrixError('M_MISSING_TOKEN');
      limit(call);
      return undefined;
    }
    const authentication: AuthenticationRequest = {
      endpoint,
      query: call.query,
      ip: call.ip,
      userAgent: request.raw.headers['user-agent'],
    };
    const requester = authenticate(token, authentication);
    if (requester instanceof Promise) return requester.then((one) => accept(call, one));
    return accept(call, requester);
  };
}

function headerToken(request: FastifyRequest): string | undefined {
  const header = request.raw.headers.authorization;
  return header === undefined ? undefined : /^bearer +(\S+) *$/i.exec(header)?.[1];
}

/** The token where old clients put it. */
function queryToken(call: Call): string | undefined {
  const inQuery = call.query.access_token;
  const token = Array.isArray(inQuery) ? inQuery[0] : inQuery;
  return token === '' ? undefined : token;
}

/** All Authorization headers: Node keeps only the first in `headers`. `raw` has names and values by turns. */
function authorizationHeaders(raw: readonly string[]): string[] {
  const found: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    if (raw[index]?.toLowerCase() === 'authorization') found.push(raw[index + 1] ?? '');
  }
  return found;
}

/** @throws {Error} for a mistake in a declaration or in the composition. */
function serverAuthenticatorOf<C>(
  { path, body }: Endpoint<C>,
  { authenticateServer }: RegisterOptions<C>,
): ServerAuthenticator {
  if (body === 'stream') throw new Error(`the body of ${path} cannot be a stream: it is signed`);
  if (authenticateServer === undefined) throw new Error(`${path} is for servers, and nothing authenticates them`);
  return authenticateServer;
}

type RouteHandler = (request: FastifyRequest, reply: FastifyReply) => void;

/** The last steps: parses, fits, calls the handler and sends what it gives. */
function responder<C>(endpoint: Endpoint<C>, options: RegisterOptions<C>): RouteHandler {
  const { params, query, body, handler } = endpoint;
  const { context } = options;
  if (endpoint.auth === 'server') return serverResponder(endpoint, options);
  const recorded = endpoint.audit && recordedHandler(endpoint, endpoint.audit, options);

  const run = (request: FastifyRequest, call: Call): HandlerResult | Promise<HandlerResult> => {
    if (params !== undefined) call.params = applySchema(params, call.params, 'path') as Call['params'];
    if (query !== undefined) call.query = applySchema(query, call.query, 'query') as Call['query'];
    if (body !== undefined) call.body = bodyOf(body, request.body);
    const { requester } = call;
    if (requester !== undefined && 'isShadowBanned' in requester) {
      const pretended = pretendedAnswer(endpoint, {
        params: call.params,
        query: call.query,
        body: call.body,
        requester,
      });
      if (pretended !== undefined) return pretended;
    }
    const answer = () =>
      recorded === undefined
        ? handler(call as unknown as EndpointRequest<never, never, never, never>, context)
        : recorded(call, request.body);
    if (requester === undefined || 'origin' in requester || requester.isLent !== true) return answer();
    const { params: named, ip } = call;
    return watched(guardOf(endpoint, options), { endpoint, requester, params: named, ip }, answer);
  };
  return (request, reply) => {
    const { call } = request;
    if (call === undefined) throw new Error('a route ran without its first step');
    try {
      const result = run(request, call);
      if (result instanceof Promise) {
        result.then(
          (value) => send(reply, value),
          (error: unknown) => sendFailure(reply, error, call.log),
        );
      } else {
        send(reply, result);
      }
    } catch (error) {
      sendFailure(reply, error, call.log);
    }
  };
}

/** Answers a request of an administrator who acts as somebody else: what they do, and what they are shown, is on record. */
async function watched(
  { lent }: Guard,
  use: LentUse,
  answer: () => HandlerResult | Promise<HandlerResult>,
): Promise<HandlerResult> {
  if (lent === undefined) throw new Error('a token was lent, and nobody keeps what is done with it');
  await lent.begins(use);
  const result = await answer();
  try {
    await lent.shows(use, result);
  } catch (error) {
    if (result instanceof RawAnswer && result.body instanceof Readable) result.body.destroy();
    throw error;
  }
  return result;
}

/** The last step where requests are on record: puts the parsed request there, then calls the handler. */
function recordedHandler<C>(
  endpoint: Endpoint<C>,
  audit: AuditDeclaration,
  options: RegisterOptions<C>,
): (call: Call, received: unknown) => Promise<HandlerResult> {
  const { context } = options;
  const guard = guardOf(endpoint, options);
  const describe = audit.describe as ((request: unknown, context: C) => Described | null) | undefined;
  return async (call, received) => {
    const described = describe?.(call, context);
    const handle = async () =>
      endpoint.handler(call as unknown as EndpointRequest<never, never, never, never>, context);
    if (described === null) return handle();
    const { params, header, ip } = call;
    const request = { params, header, ip, requester: call.requester as Requester | undefined };
    const json = endpoint.body === 'stream' ? undefined : jsonOf(received);
    const entered = await guard.enter({ endpoint, audit, request, json, described });
    call.requester = entered.requester;
    try {
      return await handle();
    } catch (error) {
      await entered.failed(error);
      throw error;
    }
  };
}

/** @throws {Error} for a mistake in the composition. */
function guardOf<C>({ path }: Endpoint<C>, { guard }: RegisterOptions<C>): Guard {
  if (guard === undefined) throw new Error(`${path} is guarded, or on record, and nothing sees to it`);
  return guard;
}

/** The body as it was sent; undefined where there is none, or it is no JSON object. */
function jsonOf(received: unknown): JsonObject | undefined {
  if (!Buffer.isBuffer(received) || received.length === 0) return undefined;
  try {
    return parseJsonBody(received);
  } catch {
    return undefined;
  }
}

/** As {@link responder}, for requests of servers. */
function serverResponder<C>(endpoint: Endpoint<C>, options: RegisterOptions<C>): RouteHandler {
  const { params, query, body, handler, rateLimit } = endpoint;
  const { context, limiter } = options;
  const authenticator = serverAuthenticatorOf(endpoint, options);

  const run = async (request: FastifyRequest, call: Call): Promise<HandlerResult> => {
    const { method, verifyServer } = request;
    if (verifyServer === undefined) throw new Error('a route ran without its first step');
    const content = contentOf(endpoint, request.body);
    const requester = await verifyServer({ method, uri: request.raw.url ?? '', content });
    call.requester = requester;
    const waitMs = limiter?.take(rateLimit, requester.origin, call.ip) ?? 0;
    if (waitMs > 0) throw limitExceeded(waitMs);
    const leave = authenticator.enter(requester.origin);
    try {
      if (params !== undefined) call.params = applySchema(params, call.params, 'path') as Call['params'];
      if (query !== undefined) call.query = applySchema(query, call.query, 'query') as Call['query'];
      const object = (await content?.object()) ?? {};
      if (body === 'json') call.body = object;
      else if (body !== undefined && body !== 'stream') call.body = applySchema(body, object, 'body');
      return await handler(call as unknown as EndpointRequest<never, never, never, never>, context);
    } finally {
      leave();
    }
  };
  return (request, reply) => {
    const { call } = request;
    if (call === undefined) throw new Error('a route ran without its first step');
    run(request, call).then(
      (value) => send(reply, value),
      (error: unknown) => sendFailure(reply, error, call.log),
    );
  };
}

/** The body of a server's request, parsed when it has to be. */
interface ServerContent extends SignedContent {
  object(): JsonObject | Promise<JsonObject>;
}

/** Undefined where there is none. What is large is not parsed before it is known who sent it. @throws {MatrixError} */
function contentOf({ largeBody }: Pick<Endpoint<never>, 'largeBody'>, received: unknown): ServerContent | undefined {
  if (!Buffer.isBuffer(received) || received.length === 0) return undefined;
  if (largeBody === undefined || received.length <= MAX_JSON_BODY_BYTES) {
    const object = parseJsonBody(received, parseJsonExactly);
    // Events of old room versions may have any number in them.
    const canonical = (): string => canonicalJson(object, 'loose');
    return { text: received.toString('utf8'), canonical, object: () => object, isLarge: false };
  }
  if (!isUtf8(received)) throw new MatrixError('M_NOT_JSON', 'The request body is not UTF-8.');
  let reading: Promise<JsonObject> | undefined;
  const object = (): Promise<JsonObject> => {
    reading ??= largeBody.read(received);
    return reading;
  };
  const canonical = async (): Promise<string> => largeBody.canonical(await object());
  return { text: received.toString('utf8'), canonical, object, isLarge: true };
}

function bodyOf(declaration: NonNullable<Endpoint<never>['body']>, received: unknown): unknown {
  // Fastify gives nothing where the request has no body.
  if (declaration === 'stream') return received ?? Readable.from([]);
  const isEmpty = !Buffer.isBuffer(received) || received.length === 0;
  if (declaration === 'json') {
    if (isEmpty) throw new MatrixError('M_NOT_JSON', 'The request needs a body: a JSON object.');
    return parseJsonBody(received);
  }
  return applySchema(declaration, isEmpty ? {} : parseJsonBody(received), 'body');
}

/** What a request gets whose path does not know its method. */
export function methodNotAllowed(method: string, allowed: readonly Method[]): MatrixError {
  const message = `This path does not know ${method}, but ${allowed.join(', ')}.`;
  const headers = { allow: [...allowed, 'OPTIONS'].join(', ') };
  return new MatrixError('M_UNRECOGNIZED', message, { status: 405, headers });
}

/** 405 for methods that a path does not have, where the router would take its requests for those of another. */
function registerOtherMethods(
  fastify: FastifyInstance,
  url: string,
  others: readonly Method[],
  allowed: readonly Method[],
  options: Pick<RegisterOptions<never>, 'log' | 'closing' | 'onAnswered'>,
): void {
  fastify.route({
    method: [...others],
    url,
    exposeHeadRoute: false,
    onRequest: (request, reply) => {
      beginCall(request, reply, UNKNOWN_ROUTE, options);
      sendFailure(reply, methodNotAllowed(request.method, allowed));
    },
    handler: (_request, reply) => reply,
  });
}
