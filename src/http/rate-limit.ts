/**
 * Token buckets per user and per address, one table of classes.
 * https://spec.matrix.org/v1.19/client-server-api/#rate-limiting
 */

/** How much is allowed: a steady rate, and how many requests at once after a rest. */
export interface Allowance {
  readonly perSecond: number;
  readonly burst: number;
}

interface ClassLimits {
  /** For each user that is logged in. */
  readonly perUser: Allowance;
  /** For each address, of requests without a user. */
  readonly perAddress: Allowance;
}

/**
 * The classes that endpoints name. Generous for people and their clients; what guesses passwords, makes accounts or
 * invites strangers is held short.
 */
export const RATE_LIMITS = {
  /** Reading: sync, messages, state, profiles. */
  read: { perUser: { perSecond: 50, burst: 200 }, perAddress: { perSecond: 20, burst: 100 } },
  /** Sending, receipts, typing, account data. */
  write: { perUser: { perSecond: 10, burst: 100 }, perAddress: { perSecond: 5, burst: 20 } },
  /** Making and joining rooms, knocking. */
  join: { perUser: { perSecond: 0.5, burst: 30 }, perAddress: { perSecond: 0.5, burst: 10 } },
  invite: { perUser: { perSecond: 0.5, burst: 30 }, perAddress: { perSecond: 0.5, burst: 10 } },
  /** Anything that checks a password or a token somebody may guess. */
  login: { perUser: { perSecond: 0.2, burst: 10 }, perAddress: { perSecond: 0.2, burst: 10 } },
  register: { perUser: { perSecond: 0.1, burst: 10 }, perAddress: { perSecond: 0.1, burst: 10 } },
  /** Uploads and downloads. */
  media: { perUser: { perSecond: 20, burst: 200 }, perAddress: { perSecond: 10, burst: 100 } },
  /** Searching people, rooms and messages. */
  search: { perUser: { perSecond: 2, burst: 20 }, perAddress: { perSecond: 1, burst: 10 } },
  /** Requests of other servers; a user is a server then. All servers may come from one proxy's address. */
  federation: { perUser: { perSecond: 100, burst: 500 }, perAddress: { perSecond: 500, burst: 2000 } },
  /** Asking for signing keys, which anybody may: it can make this server ask others. */
  keys: { perUser: { perSecond: 5, burst: 50 }, perAddress: { perSecond: 5, burst: 50 } },
} as const satisfies Record<string, ClassLimits>;

/** A class of the table, or `none` for what is never limited. */
export type RateLimitClass = keyof typeof RATE_LIMITS | 'none';

/** Most buckets that are kept at once, over all classes. At the bound the one that was used longest ago goes. */
export const MAX_BUCKETS = 100_000;

interface Bucket {
  tokens: number;
  refilledMs: number;
}

export interface RateLimiterOptions {
  /** Monotonic clock in milliseconds; default `performance.now`. */
  readonly now?: () => number;
  readonly maxBuckets?: number;
}

/** Counts requests of one process. */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;
  readonly #maxBuckets: number;

  constructor(options: RateLimiterOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#maxBuckets = options.maxBuckets ?? MAX_BUCKETS;
  }

  /**
   * Takes a request out of the bucket of this user, or without one of this address.
   * @param own how much this user may send, where it is not as much as everybody.
   * @returns 0 if it is allowed, otherwise the milliseconds until it would be.
   */
  take(limitClass: RateLimitClass, userId: string | undefined, address: string, own?: Allowance): number {
    if (limitClass === 'none') return 0;
    const limits: ClassLimits = RATE_LIMITS[limitClass];
    const usual = userId === undefined ? limits.perAddress : limits.perUser;
    const allowance = limitClass === 'write' ? (own ?? usual) : usual;
    const key = userId === undefined ? `${limitClass} a ${network(address)}` : `${limitClass} u ${userId}`;
    return this.#take(key, allowance);
  }

  /** How many buckets are kept. */
  get size(): number {
    return this.#buckets.size;
  }

  #take(key: string, { perSecond, burst }: Allowance): number {
    const nowMs = this.#now();
    const bucket = this.#buckets.get(key);
    // Putting it in again makes it the newest of the map's order.
    if (bucket !== undefined) this.#buckets.delete(key);
    else if (this.#buckets.size >= this.#maxBuckets) this.#dropOldest();
    // A clock that was set back must not empty anybody's bucket.
    const elapsedMs = bucket === undefined ? 0 : Math.max(0, nowMs - bucket.refilledMs);
    const refilled = bucket === undefined ? burst : Math.min(burst, bucket.tokens + (elapsedMs / 1000) * perSecond);
    const isAllowed = refilled >= 1;
    const tokens = isAllowed ? refilled - 1 : refilled;
    if (bucket === undefined) {
      this.#buckets.set(key, { tokens, refilledMs: nowMs });
    } else {
      bucket.tokens = tokens;
      bucket.refilledMs = nowMs;
      this.#buckets.set(key, bucket);
    }
    return isAllowed ? 0 : ((1 - refilled) / perSecond) * 1000;
  }

  #dropOldest(): void {
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}

/** What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has. */
export function network(address: string): string {
  if (!address.includes(':')) return address;
  const plain = address.split('%', 1)[0] ?? address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [head = '', tail] = plain.split('::', 2);
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array<string>(zeros).fill('0'), ...last];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':');
}
