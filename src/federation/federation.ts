/** What this server has to do with others: made once, from the configuration. */
import { readFileSync } from 'node:fs';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { SigningKey } from '#protocol/signing.ts';
import type { Bus } from '#src/bus/bus.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import type { Config } from '#src/config/schema.ts';
import type { Logger } from '#src/log/logger.ts';
import { createLookup, type LookupAddresses } from '#src/net/name-lookup.ts';
import { connectorOf, type Dial, safeDialer } from '#src/net/safe-connector.ts';
import { LazyAgent } from '#src/net/undici.ts';
import { FederationClient } from './client.ts';
import { ConnectionPools } from './connections.ts';
import { FederationCounts } from './counts.ts';
import { Destinations } from './destinations.ts';
import { Discovery } from './discovery.ts';
import { KeyFetcher } from './keys/key-fetcher.ts';
import { Notary } from './keys/notary.ts';
import { OwnKeys } from './keys/own-keys.ts';
import { ServerKeys } from './keys/server-keys.ts';
import { ServerAuthentication } from './server-authentication.ts';
import { createSrvLookup, type LookupSrv } from './srv.ts';
import { WellKnown } from './well-known.ts';

/** Many servers have nothing on port 443, and some of those do not even say so: what comes after has to have its time too. */
const WELL_KNOWN_CONNECT_TIMEOUT_MS = 5000;

/** Connections to one host that media come from. */
const WEB_CONNECTIONS = 8;

export interface FederationParts {
  readonly config: Config;
  readonly engine: ProjectionEngine;
  readonly bus: Bus;
  readonly commands: StreamCommands;
  readonly signingKey: SigningKey;
  /** Makes a new signing key and puts it where the next start finds it; undefined where there is no such place. */
  readonly replaceKey?: (() => Promise<SigningKey>) | undefined;
  /** 16 fresh bytes for a record's id. */
  readonly newRecordId: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly logger: Logger;
  /** Default: the name servers of the system, and connections as the configuration allows them. */
  readonly network?: FederationNetwork | undefined;
}

/** What of the network can be something else in a test. */
export interface FederationNetwork {
  readonly lookup?: LookupAddresses;
  readonly lookupSrv?: LookupSrv;
  /** Around the dialer that the configuration makes. */
  readonly wrapDial?: (dial: Dial) => Dial;
}

/** Other servers, as the rest of this server sees them. */
export interface Federation {
  readonly client: FederationClient;
  readonly destinations: Destinations;
  readonly ownKeys: OwnKeys;
  readonly keys: ServerKeys;
  readonly notary: Notary;
  readonly authentication: ServerAuthentication;
  /** For URLs that other servers name: only connects where requests to servers may go. */
  readonly web: LazyAgent;
  readonly counts: FederationCounts;
  /** Breaks off requests that are under way, and resolves when what was heard is recorded. */
  close(): Promise<void>;
}

/** @throws {Error} naming `federation.ca_file` when that cannot be read. */
export function createFederation(parts: FederationParts): Federation {
  const { config, engine, bus, commands, newRecordId, clock, logger, network = {} } = parts;
  const { server_name: serverName, federation: settings } = config;
  const { reader } = engine;
  const safeDial = safeDialer({
    allowPrivate: settings.allow_private_addresses,
    verifyTls: settings.verify_tls,
    ca: settings.ca_file === null ? undefined : readAuthorities(settings.ca_file),
    lookup: network.lookup ?? createLookup(),
  });
  const dial = network.wrapDial?.(safeDial) ?? safeDial;
  const agent = new LazyAgent({
    connect: connectorOf((target) => dial({ ...target, timeoutMs: WELL_KNOWN_CONNECT_TIMEOUT_MS })),
    connections: 1,
  });
  const web = new LazyAgent({ connect: connectorOf(dial), connections: WEB_CONNECTIONS });
  const wellKnown = new WellKnown({ dispatcher: () => agent.get(), clock });
  const discovery = new Discovery({
    delegationOf: (host) => wellKnown.delegationOf(host),
    lookupSrv: network.lookupSrv ?? createSrvLookup(),
    clock,
  });
  const pools = new ConnectionPools({ discovery, dial });
  const destinations = new Destinations({ reader, bus, commands, newRecordId, clock, logger });
  const ownKeys = new OwnKeys({
    serverName,
    signingKey: parts.signingKey,
    replaceKey: parts.replaceKey,
    reader,
    commands,
    newRecordId,
    clock,
  });
  const client = new FederationClient({
    serverName,
    signingKey: ownKeys.signingKey,
    pools,
    destinations,
    clock,
    isEnabled: settings.enabled,
  });
  const keys = new ServerKeys({
    serverName,
    ownKeys,
    fetcher: new KeyFetcher({ client, clock }),
    notaries: settings.trusted_key_servers.filter((name) => name !== serverName),
    reader,
    commands,
    newRecordId,
    clock,
    logger,
  });
  return {
    client,
    destinations,
    ownKeys,
    keys,
    notary: new Notary({ serverName, keys, ownKeys, reader, clock }),
    authentication: new ServerAuthentication({ serverName, keys, destinations, clock }),
    web,
    counts: new FederationCounts(),
    close: async () => {
      await Promise.all([pools.close(), agent.destroy(), web.destroy()]);
      await Promise.all([destinations.settled(), keys.settled()]);
    },
  };
}

function readAuthorities(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`federation.ca_file ${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
