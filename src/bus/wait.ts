import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';
import type { Bus, Topic } from './bus.ts';

/** Why a wait ended. */
export type WaitOutcome = 'woken' | 'timeout' | 'aborted';

export interface WaitOptions {
  /** Ends the wait: the client went away, or the server stops. */
  readonly signal?: AbortSignal;
  /** Longest wait, in milliseconds; 0 does not wait. */
  readonly timeoutMs: number;
}

/**
 * Somebody who waits under some topics. It is registered from the moment it is made, and remembers a wake-up that comes
 * while nobody awaits it; so whoever makes it first and looks afterwards misses nothing.
 */
export class Waiter implements Disposable {
  readonly #unsubscribe: () => void;
  #woken = false;
  #wokenAt: Position = BEFORE_FIRST;
  #wake: (() => void) | undefined;

  /** @throws {BusFullError} */
  constructor(bus: Bus, topics: Iterable<Topic>) {
    this.#unsubscribe = bus.subscribe(topics, (position) => {
      this.#woken = true;
      if (position > this.#wokenAt) this.#wokenAt = position;
      this.#wake?.();
    });
  }

  /** Furthest frontier that a publisher named: a reader elsewhere waits until its own projection has reached it. */
  get position(): Position {
    return this.#wokenAt;
  }

  /** Resolves at the next wake-up (one that came since the last call counts), the timeout or the abort. One call at a time. */
  wait({ signal, timeoutMs }: WaitOptions): Promise<WaitOutcome> {
    if (this.#takeWake()) return Promise.resolve('woken');
    if (signal?.aborted === true) return Promise.resolve('aborted');
    if (timeoutMs <= 0) return Promise.resolve('timeout');
    return new Promise((resolve) => {
      const end = (outcome: WaitOutcome): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#wake = undefined;
        resolve(outcome);
      };
      const onAbort = (): void => end('aborted');
      const timer = setTimeout(() => end('timeout'), timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#wake = () => {
        this.#takeWake();
        end('woken');
      };
    });
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }

  #takeWake(): boolean {
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }
}
