/** How far this server goes after what one received event names. */

/** States that are asked for, for one event that was sent or one page of history. */
export const MAX_STATES_ASKED = 20;
/** From the first question about an event until it is judged or given back, in milliseconds. */
const PURSUIT_DEADLINE_MS = 5 * 60_000;

/**
 * What may be asked of peers for one event that was sent, or one page of history: an event that names many others, each of which
 * names more, would otherwise have this server ask for ever.
 */
export class Pursuit {
  #statesLeft: number;
  #signal: AbortSignal | undefined;

  constructor(states = MAX_STATES_ASKED) {
    this.#statesLeft = states;
  }

  /** Ends the questions when they have taken too long. The time begins with the first. */
  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.timeout(PURSUIT_DEADLINE_MS);
    return this.#signal;
  }

  /** Whether one more state may be asked for; if so, it counts as asked for. */
  takeState(): boolean {
    if (this.#statesLeft <= 0 || this.signal.aborted) return false;
    this.#statesLeft -= 1;
    return true;
  }
}
