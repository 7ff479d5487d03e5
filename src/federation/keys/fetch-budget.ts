/** How often one server is asked for its keys, whatever others send in its name. */
import { Lru } from '#src/sync/lru.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/** So many times in a row, after a while of rest. */
export const FETCH_BURST = 10;
/** One more each so many milliseconds. */
export const FETCH_REFILL_MS = 30 * SECOND_MS;
/** After a server was not there; doubled each time. */
export const FIRST_PAUSE_MS = MINUTE_MS;
export const MAX_PAUSE_MS = 60 * MINUTE_MS;
/** Most servers whose account is kept. */
const MAX_KEPT = 20_000;

interface Account {
  readonly tokens: number;
  readonly countedMs: number;
  /** Until when the server is left alone. */
  readonly pausedUntilMs: number;
  /** How long it is left alone. */
  readonly pauseMs: number;
}

/** Says whether a server may be asked. */
export class FetchBudget {
  readonly #clock: () => number;
  readonly #accounts = new Lru<string, Account>(MAX_KEPT);

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Whether a server may be asked now; if so, that counts. */
  take(serverName: string): boolean {
    const now = this.#clock();
    const account = this.#accountOf(serverName, now);
    if (now < account.pausedUntilMs || account.tokens < 1) return false;
    this.#accounts.set(serverName, { ...account, tokens: account.tokens - 1 });
    return true;
  }

  /** The server was not there: it cost a time-out, and the next one is not soon. */
  notThere(serverName: string): void {
    const now = this.#clock();
    const account = this.#accountOf(serverName, now);
    const pauseMs = account.pauseMs === 0 ? FIRST_PAUSE_MS : Math.min(account.pauseMs * 2, MAX_PAUSE_MS);
    this.#accounts.set(serverName, { ...account, pauseMs, pausedUntilMs: now + pauseMs });
  }

  /** The server answered. */
  answered(serverName: string): void {
    const account = this.#accountOf(serverName, this.#clock());
    this.#accounts.set(serverName, { ...account, pauseMs: 0, pausedUntilMs: 0 });
  }

  #accountOf(serverName: string, now: number): Account {
    const known = this.#accounts.get(serverName);
    if (known === undefined) return { tokens: FETCH_BURST, countedMs: now, pausedUntilMs: 0, pauseMs: 0 };
    const refilled = Math.floor(Math.max(0, now - known.countedMs) / FETCH_REFILL_MS);
    if (refilled === 0) return known;
    const tokens = Math.min(FETCH_BURST, known.tokens + refilled);
    return { ...known, tokens, countedMs: known.countedMs + refilled * FETCH_REFILL_MS };
  }
}
