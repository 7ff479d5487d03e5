/** Children of a node: a power of two. */
const WIDTH_BITS = 3;
const WIDTH = 2 ** WIDTH_BITS;
const LOW_BITS = WIDTH - 1;

type Node = readonly (Node | string | undefined)[];

const EMPTY: Node = [];

/**
 * A state of a room that shares all it can with the state it was made from: a map from slot numbers to event ids. A
 * change copies one path; the difference of two states costs what differs, not what they hold.
 */
export class StateTree {
  readonly #root: Node;
  /** Bits of a slot number above those that choose among the children of the root. */
  readonly #shift: number;

  private constructor(root: Node, shift: number) {
    this.#root = root;
    this.#shift = shift;
  }

  /** A state with nothing in it, for slot numbers below `slots`. */
  static empty(slots: number): StateTree {
    let shift = 0;
    while (2 ** (shift + WIDTH_BITS) < slots) shift += WIDTH_BITS;
    return new StateTree(EMPTY, shift);
  }

  get(slot: number): string | undefined {
    let node: Node = this.#root;
    for (let shift = this.#shift; shift > 0; shift -= WIDTH_BITS) {
      const child = node[(slot >>> shift) & LOW_BITS];
      if (child === undefined) return undefined;
      node = child as Node;
    }
    return node[slot & LOW_BITS] as string | undefined;
  }

  /** The same state with another event in a slot, or with none. */
  with(slot: number, eventId: string | undefined): StateTree {
    return this.get(slot) === eventId
      ? this
      : new StateTree(withEntry(this.#root, this.#shift, slot, eventId), this.#shift);
  }

  /** The same for states that are one and the same; states that differ in nothing may still be two. */
  get identity(): object {
    return this.#root;
  }

  /** The slots in which two states made from the same empty one differ. */
  differenceFrom(other: StateTree): number[] {
    const slots: number[] = [];
    addDifference(this.#root, other.#root, this.#shift, 0, slots);
    return slots;
  }

  /** Each slot that has an event, in ascending order. */
  *entries(): Generator<readonly [slot: number, eventId: string]> {
    yield* entriesOf(this.#root, this.#shift, 0);
  }
}

// The depth of these walks is that of the tree: at most 11 for 2^32 slots.

function withEntry(node: Node, shift: number, slot: number, eventId: string | undefined): Node {
  const copy = [...node];
  const at = (slot >>> shift) & LOW_BITS;
  while (copy.length <= at) copy.push(undefined);
  copy[at] =
    shift === 0 ? eventId : withEntry((copy[at] as Node | undefined) ?? EMPTY, shift - WIDTH_BITS, slot, eventId);
  return copy;
}

function addDifference(a: Node, b: Node, shift: number, base: number, slots: number[]): void {
  for (let at = 0; at < WIDTH; at += 1) {
    const left = a[at];
    const right = b[at];
    if (left === right) continue;
    const slot = base + at * 2 ** shift;
    if (shift === 0) slots.push(slot);
    else
      addDifference(
        (left as Node | undefined) ?? EMPTY,
        (right as Node | undefined) ?? EMPTY,
        shift - WIDTH_BITS,
        slot,
        slots,
      );
  }
}

function* entriesOf(node: Node, shift: number, base: number): Generator<readonly [number, string]> {
  for (const [at, child] of node.entries()) {
    if (child === undefined) continue;
    const slot = base + at * 2 ** shift;
    if (shift === 0) yield [slot, child as string];
    else yield* entriesOf(child as Node, shift - WIDTH_BITS, slot);
  }
}
