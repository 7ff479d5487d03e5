/** SRV records: where a domain says its Matrix server is. RFC 2782. */
import { Resolver } from 'node:dns/promises';
import type { DialTarget } from '#src/net/safe-connector.ts';

export interface SrvRecord {
  /** The host; empty or `.` says that there is decidedly no such service. */
  readonly name: string;
  readonly port: number;
  /** The lowest is tried first. */
  readonly priority: number;
  /** Among those of one priority, the share of each. */
  readonly weight: number;
}

/** The SRV records of a name; none if there are none. Rejects where it could not be found out. */
export type LookupSrv = (name: string) => Promise<readonly SrvRecord[]>;

const QUERY_TIMEOUT_MS = 3000;
const QUERY_TRIES = 2;
/** Most records of a name that are used: those tried first. */
const MAX_RECORDS = 8;

/** Asks the name servers of the system. */
export function createSrvLookup(): LookupSrv {
  const resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES });
  return async (name) => {
    try {
      return await resolver.resolveSrv(name);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'ENOTFOUND' || code === 'ENODATA') return [];
      throw error;
    }
  };
}

/**
 * The places that records name, in the order in which to try them: by priority, and at random by weight within one. Empty where
 * the records say that there is no such service.
 * @param random from 0 up to 1, as `Math.random`.
 */
export function orderSrv(records: readonly SrvRecord[], random: () => number): Pick<DialTarget, 'host' | 'port'>[] {
  const left = records.filter(({ name, port }) => name !== '' && name !== '.' && port > 0);
  const ordered: Pick<DialTarget, 'host' | 'port'>[] = [];
  while (left.length > 0 && ordered.length < MAX_RECORDS) {
    const priority = Math.min(...left.map((record) => record.priority));
    const chosen = drawByWeight(left, priority, random());
    const [record] = left.splice(chosen, 1);
    if (record !== undefined) ordered.push({ host: record.name, port: record.port });
  }
  return ordered;
}

/** The index of one of the records of a priority, each as likely as its weight (and a little for those without). */
function drawByWeight(records: readonly SrvRecord[], priority: number, random: number): number {
  const shareOf = (record: SrvRecord): number => (record.priority === priority ? record.weight + 0.01 : 0);
  let left = random * records.reduce((sum, record) => sum + shareOf(record), 0);
  let last = 0;
  for (const [index, record] of records.entries()) {
    const share = shareOf(record);
    if (share === 0) continue;
    last = index;
    left -= share;
    if (left < 0) return index;
  }
  return last;
}
