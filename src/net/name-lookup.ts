/** From host names to addresses, without holding the threads that the disk needs. */
import { lookup as systemLookup } from 'node:dns';
import { Resolver } from 'node:dns/promises';

/** All addresses of a host name, those to try first in front. Rejects if there are none. */
export type LookupAddresses = (hostname: string) => Promise<readonly string[]>;

/** A host name has no address, or none could be found out. */
export class NameNotResolved extends Error {
  override readonly name = 'NameNotResolved';
}

const QUERY_TIMEOUT_MS = 3000;
const QUERY_TRIES = 2;
/**
 * Look-ups by the system at one time. Each takes one of the four threads that also write to the disk, for as long as a name
 * server that does not answer is waited for.
 */
const MAX_SYSTEM_LOOKUPS = 1;
/** Look-ups by the system that may wait; beyond that they fail. */
const MAX_WAITING_LOOKUPS = 100;

/** Names for this machine itself, which no name server is asked for. RFC 6761, section 6.3. */
const LOOPBACK_NAME = /^(?:.+\.)?localhost\.?$/i;
const LOOPBACK_ADDRESSES = ['127.0.0.1', '::1'] as const;

/**
 * Looks names up with the name servers of the system, on sockets; and where they know nothing, as the system does it (hosts
 * file, search domains, mDNS), on a thread.
 */
export function createLookup(): LookupAddresses {
  const resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES });
  const bySystem = boundedSystemLookup();
  return async (hostname) => {
    if (LOOPBACK_NAME.test(hostname)) return LOOPBACK_ADDRESSES;
    const [ipv6, ipv4] = await Promise.all([
      resolver.resolve6(hostname).catch(() => []),
      resolver.resolve4(hostname).catch(() => []),
    ]);
    if (ipv6.length + ipv4.length > 0) return alternating(ipv6, ipv4);
    return bySystem(hostname);
  };
}

/** So that a network without one of the families is noticed with the first address of the other. */
function alternating(first: readonly string[], second: readonly string[]): string[] {
  const both: string[] = [];
  for (let index = 0; index < Math.max(first.length, second.length); index += 1) {
    for (const address of [first[index], second[index]]) if (address !== undefined) both.push(address);
  }
  return both;
}

function boundedSystemLookup(): LookupAddresses {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (hostname) => {
    if (running >= MAX_SYSTEM_LOOKUPS) {
      if (waiting.length >= MAX_WAITING_LOOKUPS) throw new NameNotResolved(`${hostname}: too many names are looked up`);
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    running += 1;
    try {
      return await askSystem(hostname);
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
}

function askSystem(hostname: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses.map(({ address }) => address));
      else reject(new NameNotResolved(`${hostname} has no address (${error.code ?? error.message})`));
    });
  });
}
