/** Most changes that are remembered; who has seen less is told of everybody anew. */
export const MAX_CHANGES = 8_192;

interface Change {
  readonly serial: number;
  readonly userId: string;
}

/** Whose presence changed, in order. */
export class PresenceChanges {
  readonly #maxChanges: number;
  #changes: Change[] = [];
  /** Changes up to this serial may be forgotten. */
  #floor = 0;

  constructor(maxChanges: number = MAX_CHANGES) {
    this.#maxChanges = maxChanges;
  }

  /** Serial of the last change; 0 before the first. */
  get last(): number {
    return this.#changes.at(-1)?.serial ?? 0;
  }

  add(serial: number, userId: string): void {
    if (this.#changes.length >= this.#maxChanges) {
      // Half at a time, so that forgetting costs little for each.
      const kept = Math.floor(this.#maxChanges / 2);
      this.#floor = this.#changes[this.#changes.length - kept - 1]?.serial ?? this.#floor;
      this.#changes = this.#changes.slice(-kept);
    }
    this.#changes.push({ serial, userId });
  }

  /** Users with a change after a serial; undefined if that is too long ago to tell. */
  since(serial: number): ReadonlySet<string> | undefined {
    if (serial < this.#floor) return undefined;
    const users = new Set<string>();
    for (let index = this.#changes.length - 1; index >= 0; index -= 1) {
      const change = this.#changes[index];
      if (change === undefined || change.serial <= serial) break;
      users.add(change.userId);
    }
    return users;
  }
}
