/** How fast transactions are begun: what goes to a thousand servers must not keep those waiting who use this one. */
/** How often it is looked whether a transaction may be begun: one by one, so that others come in between. */
export const INTERVAL_MS = 3;
/**
 * Share of the thread's time since the last transaction was begun up to which the next one is. It takes half a millisecond on a
 * connection that is there and three where one is made, most of that some time after it was begun.
 */
export const MAX_SHARE = 0.35;
/** Intervals that are left to others while there is more to do, at most: then one is begun all the same, so some fifty a second. */
export const MAX_INTERVALS_LEFT = 6;
/** Whoever has waited so long comes next whatever else there is to do: a server with much to do falls behind, but not for ever. */
export const MAX_WAIT_MS = 5000;

/** What a thread did with its time so far, in milliseconds. */
export interface ThreadTime {
  readonly active: number;
  readonly idle: number;
}

export interface PaceOptions {
  /** Whether somebody waits for something that this server does right now. */
  readonly isBusy?: (() => boolean) | undefined;
  /** Default: what Node knows of the thread that asks. */
  readonly threadTime?: (() => ThreadTime) | undefined;
}

interface Waiting {
  readonly sinceMs: number;
  readonly begin: () => void;
}

/**
 * Gives turns one by one, and fewer while the thread has much to do or somebody waits for this server. Whoever has to wait has
 * more to send when its turn comes, and sends it at once: the more servers there are, the fewer and fuller the transactions.
 */
export class Pace {
  readonly #waiting: Waiting[] = [];
  readonly #isBusy: () => boolean;
  readonly #threadTime: () => ThreadTime;
  /** When the last turn was given. */
  #given: ThreadTime;
  /** Whether an interval has passed since. */
  #isFree = true;
  /** Intervals that others had, one after the other. */
  #leftToOthers = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ isBusy, threadTime }: PaceOptions = {}) {
    this.#isBusy = isBusy ?? (() => false);
    this.#threadTime = threadTime ?? (() => performance.eventLoopUtilization());
    this.#given = this.#threadTime();
  }

  /** Resolves when a transaction may be begun. */
  turn(): Promise<void> {
    this.#timer ??= setInterval(() => this.#next(), INTERVAL_MS);
    // The first after a pause: none is under way that could take too much.
    if (this.#isFree && !this.#isBusy()) {
      this.#give();
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ sinceMs: performance.now(), begin: resolve });
    return promise;
  }

  /** Gives everybody their turn: nothing is begun any more by those who get it. */
  close(): void {
    for (const { begin } of this.#waiting.splice(0)) begin();
  }

  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      if (this.#isFree) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
      this.#isFree = true;
      return;
    }
    const isLeft = this.#leftToOthers < MAX_INTERVALS_LEFT && performance.now() - first.sinceMs < MAX_WAIT_MS;
    if (isLeft && this.#hasMoreToDo()) {
      this.#leftToOthers += 1;
      return;
    }
    this.#waiting.shift();
    this.#give();
    first.begin();
  }

  #hasMoreToDo(): boolean {
    if (this.#isBusy()) return true;
    const { active, idle } = this.#threadTime();
    const worked = active - this.#given.active;
    return worked > (worked + idle - this.#given.idle) * MAX_SHARE;
  }

  #give(): void {
    this.#isFree = false;
    this.#leftToOthers = 0;
    this.#given = this.#threadTime();
  }
}
