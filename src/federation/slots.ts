/** Turns at something of which only so much goes at a time, for each of many names. */

interface Line {
  taken: number;
  readonly waiting: (() => void)[];
}

/** Lets so many in for each name, and so many wait. */
export class Slots {
  readonly #perName: number;
  readonly #maxWaiting: number;
  /** Only names with somebody in or waiting. */
  readonly #lines = new Map<string, Line>();

  constructor(options: { readonly perName: number; readonly maxWaiting: number }) {
    this.#perName = options.perName;
    this.#maxWaiting = options.maxWaiting;
  }

  /** How many are in for a name. */
  takenBy(name: string): number {
    return this.#lines.get(name)?.taken ?? 0;
  }

  /**
   * Resolves, when it is its turn, with what gives the slot back (calling that again does nothing); with undefined at once if
   * too many wait already. Rejects with the reason of the signal if that fires before.
   */
  take(name: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    const line = this.#lines.get(name) ?? { taken: 0, waiting: [] };
    if (line.taken < this.#perName) {
      line.taken += 1;
      this.#lines.set(name, line);
      return Promise.resolve(this.#release(name, line));
    }
    if (line.waiting.length >= this.#maxWaiting) return Promise.resolve(undefined);
    if (signal.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<() => void>();
    const goOn = (): void => {
      signal.removeEventListener('abort', giveUp);
      resolve(this.#release(name, line));
    };
    const giveUp = (): void => {
      line.waiting.splice(line.waiting.indexOf(goOn), 1);
      reject(signal.reason);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    line.waiting.push(goOn);
    return promise;
  }

  #release(name: string, line: Line): () => void {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const next = line.waiting.shift();
      // Who waits takes the slot over.
      if (next !== undefined) next();
      else {
        line.taken -= 1;
        if (line.taken === 0) this.#lines.delete(name);
      }
    };
  }
}
