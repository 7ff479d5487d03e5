/** A Fastify instance that behaves as Matrix wants it, with endpoints on it. */
import type { Server as HttpServer, RequestListener, ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { type FastifyInstance, fastify } from 'fastify';
import type { Endpoint } from './endpoint.ts';
import { MatrixError } from './errors.ts';
import { beginCall, methodNotAllowed, type RegisterOptions, registerEndpoints, UNKNOWN_ROUTE } from './register.ts';
import { todaysUrl } from './route-paths.ts';
import { send, sendFailure } from './send.ts';

/**
 * Not imported: an import asks for all that the module has, and so loads the WebSocket client, and with it 13 MiB that nothing
 * here needs.
 */
const { createServer } = process.getBuiltinModule('node:http');

/** Longest path parameter, percent-encoded: the longest identifier is 255 bytes, each of which may take three. */
const MAX_PARAM_LENGTH = 4096;
/** Most bytes of a request's head; clients put filters into the query. */
const MAX_HEADER_BYTES = 64 * 1024;
/** The longest a request may take to arrive, uploads included. */
const REQUEST_TIMEOUT_MS = 30 * 60_000;
const HEADERS_TIMEOUT_MS = 60_000;
/**
 * Connections of one listener. Node takes as many files as the system allows, and the log needs some: whoever comes beyond these is
 * turned away.
 */
export const MAX_CONNECTIONS = 20_000;
/** How long an idle connection is kept; longer than the reverse proxies in front keep theirs. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

/** Certificate chain and private key, as PEM. */
export interface TlsCredentials {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export interface HttpAppOptions<C> extends RegisterOptions<C> {
  readonly endpoints: readonly Endpoint<C>[];
  readonly tls?: TlsCredentials | undefined;
  /** Addresses and networks whose X-Forwarded-For is believed. */
  readonly trustedProxies?: readonly string[];
}

/**
 * Makes an instance with all endpoints registered, ready to listen, or for `inject` in tests:
 *
 * ```ts
 * const app = createHttpApp({ endpoints: [whoami], context, authenticate, log: silentLog(), closing: new AbortController().signal });
 * const answer = await app.inject({ url: '/_matrix/client/v3/account/whoami', headers: { authorization: 'Bearer t' } });
 * ```
 */
export function createHttpApp<C>(options: HttpAppOptions<C>): FastifyInstance {
  const trusted = options.trustedProxies ?? [];
  const app = fastify({
    logger: false,
    trustProxy: trusted.length > 0 ? [...trusted] : false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // A connection that is busy when the server stops gets its answer first.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    rewriteUrl: ({ url = '/' }) => todaysUrl(url),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
    frameworkErrors: (error, _request, reply) => sendFailure(reply, error),
    clientErrorHandler: answerBrokenRequest,
    serverFactory: (handler) => listenWith(handler, options.tls),
  });
  app.decorateRequest('call', undefined);
  app.decorateRequest('verifyServer', undefined);
  app.setErrorHandler((error, request, reply) => {
    sendFailure(reply, error, request.call?.log ?? options.log);
  });
  // Before anything looks at a body that nobody wants.
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.is404) {
      done();
      return;
    }
    beginCall(request, reply, UNKNOWN_ROUTE, options);
    const allowed = paths.at(request.url);
    sendFailure(
      reply,
      allowed === undefined ? new MatrixError('M_UNRECOGNIZED') : methodNotAllowed(request.method, allowed),
    );
  });
  app.options('*', {
    onRequest: (request, reply) => {
      beginCall(request, reply, UNKNOWN_ROUTE, options);
      send(reply, {});
    },
    handler: (_request, reply) => reply,
  });
  const paths = registerEndpoints(app, options.endpoints, options);
  return app;
}

/** Endpoints fit what comes to schemas of their own. Fastify would load two compilers, which take some MiB, for none. */
function noCompiler(): never {
  throw new Error('a route was given a schema for Fastify to compile');
}

function listenWith(handler: RequestListener, tls: TlsCredentials | undefined): HttpServer {
  const options: ServerOptions = {
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  };
  const server =
    tls === undefined
      ? createServer(options, handler)
      : (createTlsServer({ ...options, cert: tls.cert, key: tls.key }, handler) as unknown as HttpServer);
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/** Status and words for what is not HTTP, by Node's error code. */
const BROKEN_REQUESTS: Readonly<Record<string, readonly [status: string, error: MatrixError]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    new MatrixError('M_TOO_LARGE', 'The head of the request is too large.'),
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [
    '408 Request Timeout',
    new MatrixError('M_UNKNOWN', 'The request took too long to arrive.'),
  ],
};
const NOT_HTTP = ['400 Bad Request', new MatrixError('M_UNKNOWN', 'This is not HTTP.')] as const;

function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (socket.writable) {
    const [status, failure] = BROKEN_REQUESTS[error.code ?? ''] ?? NOT_HTTP;
    const body = JSON.stringify(failure.toBody());
    socket.write(
      `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
        `Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroy(error);
}
