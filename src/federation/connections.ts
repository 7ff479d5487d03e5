/** Kept connections to other servers: a small pool for each, made where it is needed and let go when it is not. */
import type { Pool } from 'undici';
import { connectorOf, type Dial } from '#src/net/safe-connector.ts';
import { undici } from '#src/net/undici.ts';
import type { Discovery, Route } from './discovery.ts';
import { FederationError } from './errors.ts';

/** Connections to one server, and so requests that are under way to it. */
export const MAX_CONNECTIONS = 8;
/** How long an idle connection is kept. */
const KEEP_ALIVE_MS = 30_000;
/** However long the other server says it keeps it. */
const KEEP_ALIVE_MAX_MS = 5 * 60_000;
/** Most bytes of the head of an answer. */
const MAX_HEADER_BYTES = 32 * 1024;
/** Most servers with a pool. The connections of the one that was used longest ago are closed when its requests are done. */
const MAX_POOLS = 2000;

/** A pool, and the route that it follows. */
export interface Connections {
  readonly pool: Pool;
  readonly route: Route;
}

export interface ConnectionPoolsOptions {
  readonly discovery: Discovery;
  readonly dial: Dial;
}

/** The pools of all servers. */
export class ConnectionPools {
  readonly #discovery: Discovery;
  readonly #dial: Dial;
  /** The one used last at the end. */
  readonly #pools = new Map<string, Connections>();

  constructor({ discovery, dial }: ConnectionPoolsOptions) {
    this.#discovery = discovery;
    this.#dial = dial;
  }

  /** The pool of a server. @throws {FederationError} as {@link Discovery.routeTo}. */
  async of(serverName: string): Promise<Connections> {
    const route = await this.#discovery.routeTo(serverName);
    const known = this.#pools.get(serverName);
    this.#pools.delete(serverName);
    if (known !== undefined && isSameRoute(known.route, route)) {
      this.#pools.set(serverName, known);
      return known;
    }
    if (known !== undefined) letGo(known);
    const [longestUnused] = this.#pools;
    if (this.#pools.size >= MAX_POOLS && longestUnused !== undefined) {
      this.#pools.delete(longestUnused[0]);
      letGo(longestUnused[1]);
    }
    const made = { pool: this.#makePool(serverName, route), route };
    this.#pools.set(serverName, made);
    return made;
  }

  /** The server was not where its route leads. */
  lost(serverName: string): void {
    this.#discovery.forget(serverName);
  }

  /** Breaks off what is under way. */
  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map(({ pool }) => pool.destroy()));
  }

  #makePool(serverName: string, route: Route): Pool {
    // Only the targets of the route are connected to; the host of this URL only names the pool.
    return new (undici().Pool)('https://matrix.invalid', {
      connect: connectorOf(() => dialInTurn(serverName, route, this.#dial)),
      connections: MAX_CONNECTIONS,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    });
  }
}

/** Requests that are under way end as they would; their connections are closed then. */
function letGo({ pool }: Connections): void {
  pool.close().catch(() => {});
}

function isSameRoute(one: Route, other: Route): boolean {
  // SRV records of equal weight come in another order each time: the pool goes on with the order that it has.
  const places = ({ targets }: Route): string[] => targets.map(({ host, port }) => `${host} ${port}`).sort();
  return (
    one.certName === other.certName && one.hostHeader === other.hostHeader && `${places(one)}` === `${places(other)}`
  );
}

async function dialInTurn(serverName: string, { targets, certName }: Route, dial: Dial): ReturnType<Dial> {
  let lastError: unknown = new FederationError('unreachable', serverName, 'there is nowhere to connect to');
  for (const { host, port } of targets) {
    try {
      return await dial({ host, port, certName });
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}
