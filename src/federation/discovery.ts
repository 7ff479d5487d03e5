/**
 * From a server name to the place to connect to, the certificate to expect there, and the Host header to send.
 * https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
import { parseServerName, type ServerName } from '#protocol/server-name.ts';
import type { DialTarget } from '#src/net/safe-connector.ts';
import { Lru } from '#src/sync/lru.ts';
import { FederationError } from './errors.ts';
import { type LookupSrv, orderSrv, type SrvRecord } from './srv.ts';

/** The port where none is named. */
export const DEFAULT_PORT = 8448;
/** How long what was found by SRV records, or for lack of them, counts. Delegations have their own times. */
const ROUTE_LIFETIME_MS = 5 * 60_000;
/** Most servers whose routes are remembered. */
const MAX_REMEMBERED = 20_000;

/** How to reach a server. */
export interface Route {
  /** Names or addresses and ports, in the order in which to try them; at least one. */
  readonly targets: readonly Pick<DialTarget, 'host' | 'port'>[];
  /** The DNS name or address that the certificate has to be for; the SNI too, unless it is an address. */
  readonly certName: string;
  readonly hostHeader: string;
}

export interface DiscoveryOptions {
  /** The server name that a host delegates to, if it does. Must not reject. */
  readonly delegationOf: (host: string) => Promise<string | undefined>;
  readonly lookupSrv: LookupSrv;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** From 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
}

/** Finds routes, and remembers them for a while. */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #remembered = new Lru<string, { readonly route: Route; readonly validUntilMs: number }>(MAX_REMEMBERED);
  readonly #underWay = new Map<string, Promise<Route>>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /**
   * How to reach a server.
   * @throws {FederationError} `refused` for what is no server name, `unreachable` where its SRV record says that it has no server.
   */
  routeTo(serverName: string): Promise<Route> {
    const known = this.#remembered.get(serverName);
    if (known !== undefined && this.#options.clock() < known.validUntilMs) return Promise.resolve(known.route);
    const underWay = this.#underWay.get(serverName);
    if (underWay !== undefined) return underWay;
    const found = this.#find(serverName).finally(() => this.#underWay.delete(serverName));
    this.#underWay.set(serverName, found);
    return found;
  }

  /** The server was not found where the route leads: the next request looks again. */
  forget(serverName: string): void {
    this.#remembered.delete(serverName);
  }

  async #find(serverName: string): Promise<Route> {
    const route = await findRoute(serverName, this.#options);
    this.#remembered.set(serverName, { route, validUntilMs: this.#options.clock() + ROUTE_LIFETIME_MS });
    return route;
  }
}

async function findRoute(serverName: string, options: DiscoveryOptions): Promise<Route> {
  const name = parseServerName(serverName);
  if (name === undefined) throw new FederationError('refused', serverName, 'this is not a server name');
  const direct = directRoute(serverName, name);
  if (direct !== undefined) return direct;
  const delegated = await options.delegationOf(name.host);
  const delegate = delegated === undefined ? undefined : parseServerName(delegated);
  if (delegated === undefined || delegate === undefined) return routeBySrv(serverName, name.host, options);
  return directRoute(delegated, delegate) ?? routeBySrv(serverName, delegate.host, options);
}

/** Steps 1 and 2, and 3.1 and 3.2: an address, or a port, leaves nothing to look for. */
function directRoute(text: string, { host, kind, port }: ServerName): Route | undefined {
  if (kind === 'dns' && port === undefined) return undefined;
  return { targets: [{ host, port: port ?? DEFAULT_PORT }], certName: host, hostHeader: text };
}

/** Steps 3.3 to 3.5, and 4 to 6. What an SRV record names is only where to connect to; the certificate is for `host`. */
async function routeBySrv(serverName: string, host: string, options: DiscoveryOptions): Promise<Route> {
  const { random = Math.random } = options;
  for (const service of ['_matrix-fed._tcp', '_matrix._tcp']) {
    const records = await recordsOf(`${service}.${host}`, options.lookupSrv);
    if (records.length === 0) continue;
    const targets = orderSrv(records, random);
    if (targets.length > 0) return { targets, certName: host, hostHeader: host };
    throw new FederationError(
      'unreachable',
      serverName,
      `the SRV record ${service}.${host} says that there is no server`,
    );
  }
  return { targets: [{ host, port: DEFAULT_PORT }], certName: host, hostHeader: host };
}

/**
 * Many name servers stumble over names with underscores. A failure counts as no record: at worst the server is not found, never
 * a wrong one, since whoever is found has to have the certificate.
 */
async function recordsOf(name: string, lookupSrv: LookupSrv): Promise<readonly SrvRecord[]> {
  try {
    return await lookupSrv(name);
  } catch {
    return [];
  }
}
