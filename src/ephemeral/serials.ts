/**
 * Numbers the changes of what is never logged, typing and presence alike, so that one number in a sync token says how much of
 * both a client has seen. It begins anew with each start of the process.
 */
export class Serials {
  #last = 0;

  /** Serial of the last change; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Serial of a change that happens now. */
  next(): number {
    this.#last += 1;
    return this.#last;
  }
}
