/** The server's side of HTTP: listeners, request log, figures, an orderly end. */
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { ListenerConfig, Service } from '#src/config/schema.ts';
import type { Logger } from '#src/log/logger.ts';
import { createHttpApp, type TlsCredentials } from './app.ts';
import type { Authenticate, Endpoint, ServerAuthenticator } from './endpoint.ts';
import type { Guard } from './guard.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { opsEndpoints, type Readiness } from './ops-endpoints.ts';
import type { RateLimiter } from './rate-limit.ts';
import { type Answered, type RegisterOptions, UNKNOWN_ROUTE } from './register.ts';
import { servicesOf } from './services.ts';

/** How long running requests may take to end when the server stops; then their connections are closed. */
export const STOP_TIMEOUT_MS = 10_000;
/** How often connections that became idle are looked for while the server stops. */
const IDLE_CHECK_INTERVAL_MS = 25;

export interface HttpServerOptions<C> {
  readonly listeners: readonly ListenerConfig[];
  readonly endpoints: readonly Endpoint<C>[];
  readonly context: C;
  readonly authenticate: Authenticate;
  /** Needed where endpoints are for servers. */
  readonly authenticateServer?: ServerAuthenticator | undefined;
  /** Needed where endpoints are guarded, or on record. */
  readonly guard?: Guard | undefined;
  readonly limiter?: RateLimiter | undefined;
  /** See {@link RegisterOptions.acceptsTokenInQuery}. */
  readonly acceptsTokenInQuery?: boolean;
  readonly log: Logger;
  readonly readiness: () => Readiness | Promise<Readiness>;
  /** Default: a new set. Give one where other parts add their figures. */
  readonly metrics?: Metrics;
}

/** Where a running server listens. */
export interface ListeningAddress {
  /** As `http://127.0.0.1:8008`, with the port that was really taken. */
  readonly url: string;
  readonly port: number;
  readonly serves: readonly Service[];
}

export interface HttpServer {
  readonly addresses: readonly ListeningAddress[];
  /** Fires when {@link stop} is called. */
  readonly closing: AbortSignal;
  readonly metrics: Metrics;
  /**
   * Takes no more connections, tells long polls to answer, lets running requests end, and after `timeoutMs` (default
   * {@link STOP_TIMEOUT_MS}) closes what is left. Calling it again waits for the same end.
   */
  stop(timeoutMs?: number): Promise<void>;
}

/** A listener could not be opened; the message says which and why. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/**
 * Opens all listeners, or none.
 * @throws {ListenError}
 */
export async function startHttpServer<C>(options: HttpServerOptions<C>): Promise<HttpServer> {
  const closer = new AbortController();
  // Every long poll listens.
  setMaxListeners(0, closer.signal);
  const metrics = options.metrics ?? createMetrics();
  const ops = opsEndpoints({ readiness: options.readiness, metrics, closing: closer.signal });
  const endpoints: readonly Endpoint<C>[] = [...ops, ...options.endpoints];
  const onAnswered = reportTo(options.log, metrics);

  const apps: FastifyInstance[] = [];
  const addresses: ListeningAddress[] = [];
  try {
    for (const listener of options.listeners) {
      const app = createHttpApp<C>({
        endpoints: endpoints.filter(({ path }) =>
          servicesOf(path).some((service) => listener.serves.includes(service)),
        ),
        context: options.context,
        authenticate: options.authenticate,
        authenticateServer: options.authenticateServer,
        guard: options.guard,
        limiter: options.limiter,
        acceptsTokenInQuery: options.acceptsTokenInQuery,
        log: options.log,
        closing: closer.signal,
        onAnswered,
        tls: await readCredentials(listener),
        trustedProxies: listener.trusted_proxies,
      });
      apps.push(app);
      addresses.push(await listen(app, listener));
    }
  } catch (error) {
    await Promise.all(apps.map((app) => app.close()));
    throw error;
  }

  let stopped: Promise<void> | undefined;
  return {
    addresses,
    closing: closer.signal,
    metrics,
    stop: (timeoutMs = STOP_TIMEOUT_MS) => {
      stopped ??= stopAll(apps, closer, timeoutMs);
      return stopped;
    },
  };
}

/**
 * One line and one figure for each request. Neither has the query, which may hold tokens. The path, which holds ids, is
 * only there for requests that no endpoint answers, and where the level asks for detail.
 */
function reportTo(log: Logger, metrics: Metrics): (answered: Answered) => void {
  const isDetailed = log.isLevelEnabled('debug');
  const isQuiet = !log.isLevelEnabled('info');
  return (answered) => {
    metrics.observe(answered);
    if (isQuiet) return;
    const { requestId, method, route, status, durationMs, userId, path } = answered;
    const line = {
      request: requestId,
      method,
      route,
      status,
      ms: Math.round(durationMs * 10) / 10,
      user: userId,
      path: isDetailed || route === UNKNOWN_ROUTE ? path : undefined,
    };
    // What monitoring and browsers ask all the time would drown the rest.
    if (route.startsWith('/_stele/') || method === 'OPTIONS') log.debug(line, 'request');
    else log.info(line, 'request');
  };
}

async function readCredentials({ tls }: ListenerConfig): Promise<TlsCredentials | undefined> {
  if (tls === null) return undefined;
  const read = async (file: string, what: string): Promise<Buffer> => {
    try {
      return await readFile(file);
    } catch (error) {
      throw new ListenError(`The TLS ${what} ${file} cannot be read: ${messageOf(error)}`);
    }
  };
  return { cert: await read(tls.cert, 'certificate'), key: await read(tls.key, 'key') };
}

async function listen(app: FastifyInstance, { bind, port, serves, tls }: ListenerConfig): Promise<ListeningAddress> {
  const host = bind.includes(':') ? `[${bind}]` : bind;
  try {
    await app.listen({ host: bind, port });
  } catch (error) {
    const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    const reason = isTaken ? 'something listens there already. Is another server running?' : messageOf(error);
    throw new ListenError(`Cannot listen on ${host}:${port}: ${reason}`);
  }
  const taken = (app.server.address() as AddressInfo).port;
  return { url: `${tls === null ? 'http' : 'https'}://${host}:${taken}`, port: taken, serves };
}

async function stopAll(apps: readonly FastifyInstance[], closer: AbortController, timeoutMs: number): Promise<void> {
  closer.abort();
  // A connection whose last answer was under way when its server stopped listening stays open for the next request.
  const idleCheck = setInterval(() => {
    for (const app of apps) app.server.closeIdleConnections();
  }, IDLE_CHECK_INTERVAL_MS);
  const deadline = setTimeout(() => {
    for (const app of apps) app.server.closeAllConnections();
  }, timeoutMs);
  try {
    await Promise.all(apps.map((app) => app.close()));
  } finally {
    clearInterval(idleCheck);
    clearTimeout(deadline);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
