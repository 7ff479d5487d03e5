/** How fast transactions are begun: what goes to a thousand servers must not keep those waiting who use this one. */

/** Transactions that are begun in one interval. */
export const STARTS_PER_INTERVAL = 1;
/** Each takes half a millisecond on a connection that is there, and three where one is made: one by one, so that others come in between. */
export const INTERVAL_MS = 3;
/** Intervals that are left to others while they are busy, at most: then one is begun all the same, so at least fifty a second. */
export const MAX_INTERVALS_LEFT = 6;

/**
 * Gives turns, some in each interval, and fewer while somebody waits for this server. Whoever has to wait has more to send when
 * its turn comes, and sends it at once: the more servers there are, the fewer and fuller the transactions.
 */
export class Pace {
  readonly #waiting: (() => void)[] = [];
  readonly #isBusy: () => boolean;
  #left = STARTS_PER_INTERVAL;
  /** Intervals that others had, one after the other. */
  #leftToOthers = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param isBusy whether somebody waits for something that this server does right now */
  constructor(isBusy: () => boolean = () => false) {
    this.#isBusy = isBusy;
  }

  /** Resolves when a transaction may be begun. */
  turn(): Promise<void> {
    this.#timer ??= setInterval(() => this.#next(), INTERVAL_MS);
    if (this.#left > 0 && !this.#isBusy()) {
      this.#left -= 1;
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise;
  }

  /** Gives everybody their turn: nothing is begun any more by those who get it. */
  close(): void {
    for (const begin of this.#waiting.splice(0)) begin();
  }

  #next(): void {
    if (this.#waiting.length === 0 && this.#left === STARTS_PER_INTERVAL) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    if (this.#waiting.length > 0 && this.#leftToOthers < MAX_INTERVALS_LEFT && this.#isBusy()) {
      this.#leftToOthers += 1;
      return;
    }
    this.#leftToOthers = 0;
    const begun = this.#waiting.splice(0, STARTS_PER_INTERVAL);
    this.#left = STARTS_PER_INTERVAL - begun.length;
    for (const begin of begun) begin();
  }
}
