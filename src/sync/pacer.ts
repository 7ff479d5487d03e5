/** Longest time, in milliseconds, that answers are worked on in one turn of the event loop. */
export const SLICE_MS = 8;

/**
 * Divides work into slices, so that the event loop is never held: a long answer asks {@link isDue} often and pauses when it
 * is, and so do many short ones that are due together, before each. All that use one pacer share its turns, and whoever pauses
 * is behind those who paused before: so nothing short waits for all of something long.
 */
export class Pacer {
  readonly #waiting: (() => void)[] = [];
  /** When the work of this turn began; undefined where nothing was done in it yet. */
  #startedMs: number | undefined;
  #isScheduled = false;

  /** Whether this turn has been used up. */
  get isDue(): boolean {
    if (this.#startedMs === undefined) {
      this.#startedMs = performance.now();
      this.#schedule();
      return false;
    }
    return performance.now() - this.#startedMs > SLICE_MS;
  }

  /** Resolves in a later turn, when all who paused before have had theirs. */
  pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#beginTurn());
  }

  #beginTurn(): void {
    this.#isScheduled = false;
    this.#startedMs = undefined;
    if (this.#waiting.length === 0) return;
    this.#startedMs = performance.now();
    this.#schedule();
    this.#letOneGoOn();
  }

  /** Lets those who wait go on, one after the other, until the turn is used up. */
  readonly #letOneGoOn = (): void => {
    if (this.isDue) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    next();
    // A tick comes after all microtasks: after whoever goes on has done what it does in this turn.
    queueMicrotask(() => process.nextTick(this.#letOneGoOn));
  };
}

/** The one that everything in this process paces itself by. */
export const sharedPacer = new Pacer();
