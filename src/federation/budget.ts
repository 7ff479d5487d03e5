/** How much of something each of many names may do, over time. */
import { Lru } from '#src/sync/lru.ts';

export interface BudgetOptions {
  /** So many times in a row, after a while of rest. */
  readonly burst: number;
  /** One more each so many milliseconds. */
  readonly refillMs: number;
  /** Most names whose accounts are kept; whoever was here longest ago begins with a full one again. */
  readonly maxNames: number;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

interface Account {
  readonly left: number;
  readonly countedMs: number;
}

/** Token buckets by name. */
export class Budget {
  readonly #options: BudgetOptions;
  readonly #accounts: Lru<string, Account>;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#accounts = new Lru(options.maxNames);
  }

  /** Whether a name may do it once more, or so many times at once; if so, that counts. */
  take(name: string, times = 1): boolean {
    const { burst, refillMs, clock } = this.#options;
    const now = clock();
    const known = this.#accounts.get(name) ?? { left: burst, countedMs: now };
    // A clock that was set back takes nothing away.
    const refilled = Math.floor(Math.max(0, now - known.countedMs) / refillMs);
    const left = Math.min(burst, known.left + refilled);
    if (left < times) return false;
    this.#accounts.set(name, { left: left - times, countedMs: known.countedMs + refilled * refillMs });
    return true;
  }
}
