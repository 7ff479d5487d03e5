import { unavailable } from '#src/http/errors.ts';

/** Most holders that may wait for one key. Beyond it a caller is refused: that key is being hammered. */
export const MAX_WAITING_FOR_KEY = 1_000;

/** Lets one piece of work at a time run for each key, in the order of asking. Keys cost nothing while nobody holds them. */
export class KeyedLock {
  /** The end of each key's queue, and how many wait in it. */
  readonly #queues = new Map<string, { tail: Promise<void>; size: number }>();

  /** Runs `work` when all that asked for the key before are done. Throws 503 when too many wait for it already. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { tail: Promise.resolve(), size: 0 };
    if (queue.size >= MAX_WAITING_FOR_KEY) throw unavailable('Too many changes at once. Please try again.');
    this.#queues.set(key, queue);
    queue.size += 1;
    const before = queue.tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    queue.tail = promise;
    await before;
    try {
      return await work();
    } finally {
      queue.size -= 1;
      if (queue.size === 0) this.#queues.delete(key);
      resolve();
    }
  }

  /** How many keys are held. */
  get size(): number {
    return this.#queues.size;
  }
}
