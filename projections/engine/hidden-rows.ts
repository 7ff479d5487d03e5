/** Which records are not shown until the tables are built anew. */
import type { Hidden } from './table.ts';

/** Records to hide. */
export interface ToHide {
  readonly positions: Iterable<number>;
  readonly contents: Iterable<string>;
  readonly contentTimes: Iterable<number>;
  readonly users: Iterable<string>;
}

class HiddenSets implements Hidden {
  readonly positions = new Set<number>();
  readonly contents = new Set<string>();
  readonly contentTimes = new Set<number>();
  readonly users = new Set<string>();

  get isEmpty(): boolean {
    return this.positions.size === 0 && this.contents.size === 0 && this.users.size === 0;
  }

  add({ positions, contents, contentTimes, users }: ToHide): void {
    for (const position of positions) this.positions.add(position);
    for (const content of contents) this.contents.add(content);
    for (const time of contentTimes) this.contentTimes.add(time);
    for (const user of users) this.users.add(user);
  }
}

/** Gathers what is hidden, and knows what of it the tables that are being built may hold. */
export class HiddenRows {
  #all = new HiddenSets();
  #sinceBuilding = new HiddenSets();

  /** Hides records, until tables are in place whose building began after this. */
  add(records: ToHide): void {
    this.#all.add(records);
    this.#sinceBuilding.add(records);
  }

  /** Tables are being built from now on, by readers that see as destroyed what was added so far. */
  beginBuilding(): void {
    this.#sinceBuilding = new HiddenSets();
  }

  /** They are in place. */
  built(): void {
    this.#all = this.#sinceBuilding;
    this.#sinceBuilding = new HiddenSets();
    this.#sinceBuilding.add(this.#all);
  }

  /** Undefined for nothing. */
  get current(): Hidden | undefined {
    return this.#all.isEmpty ? undefined : this.#all;
  }
}
