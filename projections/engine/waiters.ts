/** Those who wait for the frontier to reach a position. */
import type { Position } from '#streams/event-log.ts';

/** Most who may wait at the same time. */
const MAX_WAITERS = 100_000;

/** {@link MAX_WAITERS} are waiting already. */
export class TooManyWaiters extends Error {
  override readonly name = 'TooManyWaiters';
}

interface Waiter {
  readonly position: Position;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Kept in the order of their positions, so that an advance looks at those it wakes only. */
export class Waiters {
  #waiting: Waiter[] = [];

  /** Rejects with {@link TooManyWaiters} or the signal's reason. */
  add(position: Position, signal?: AbortSignal): Promise<void> {
    if (this.#waiting.length >= MAX_WAITERS) {
      return Promise.reject(new TooManyWaiters(`${MAX_WAITERS} wait for the projections already`));
    }
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const abort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        position,
        resolve: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
        reject: (reason) => {
          signal?.removeEventListener('abort', abort);
          reject(reason);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.splice(this.#after(position), 0, waiter);
    });
  }

  resolveUpTo(position: Position): void {
    if (this.#waiting.length === 0) return;
    for (const waiter of this.#waiting.splice(0, this.#after(position))) waiter.resolve();
  }

  rejectAll(reason: unknown): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(reason);
  }

  /** Index of the first waiter beyond a position. */
  #after(position: Position): number {
    let low = 0;
    let high = this.#waiting.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#waiting[middle] as Waiter).position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
