/** The time that something may take, which somebody may also break off before. */

/**
 * A signal that fires when the time is over, or when another one does, and leaves nothing behind once it is ended: a server that
 * makes hundreds of requests a second would else hold those of the last minute.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #outer: AbortSignal | undefined;
  #isOver = false;

  /** @param outer fires with its own reason; what it fires with is what the signal of this does. */
  constructor(lengthMs: number, outer?: AbortSignal) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.#isOver = true;
      this.#fire(new DOMException('The time is over.', 'TimeoutError'));
    }, lengthMs).unref();
    if (outer?.aborted) this.#breakOff();
    else outer?.addEventListener('abort', this.#breakOff, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the time was over before it was ended or broken off. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The signal does not fire any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#breakOff);
  }

  readonly #breakOff = (): void => this.#fire(this.#outer?.reason);

  #fire(reason: unknown): void {
    this.end();
    this.#controller.abort(reason);
  }
}
