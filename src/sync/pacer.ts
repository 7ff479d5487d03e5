import { setImmediate as nextTurn } from 'node:timers/promises';

/** Longest time, in milliseconds, that an answer is worked on before others get their turn. */
export const SLICE_MS = 8;

/** Divides long work into slices, so that the event loop is never held: ask {@link isDue} often, and pause when it is. */
export class Pacer {
  #startedMs = performance.now();

  /** Whether others have waited long enough. */
  get isDue(): boolean {
    return performance.now() - this.#startedMs > SLICE_MS;
  }

  /** Lets others have their turn. */
  async pause(): Promise<void> {
    await nextTurn();
    this.#startedMs = performance.now();
  }
}
