import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { Heap } from '#protocol/state-resolution/heap.ts';
import type { AuthGraph, SharedState } from '#protocol/state-resolution/index.ts';
import type { RoomEvent } from './room-event.ts';

interface Node {
  readonly event: RoomEvent;
  /** Greater than that of every event in its auth chain. */
  readonly index: number;
  readonly authEvents: readonly Node[];
}

/** Which of the states reach an event: one bit each. */
type Mask = Int32Array;

/**
 * An auth graph over events in topological order. Walks go from late to early and end where nothing earlier can matter,
 * so that a fork costs what happened since, not the room.
 */
export class OrderedAuthGraph implements AuthGraph {
  readonly #nodes = new Map<string, Node>();
  readonly #inOrder: Node[] = [];
  readonly #rules: RoomVersionRules;

  constructor(rules: RoomVersionRules) {
    this.#rules = rules;
  }

  /** Takes in the next state event of the room; those that it names have to be in already. */
  add(event: RoomEvent): void {
    const ids = new Set(event.authEventIds);
    if (!this.#rules.eventFormat.createEventInAuthEvents && event.type !== 'm.room.create') {
      ids.add(createEventIdFromRoomId(event.roomId));
    }
    const authEvents = [...ids].flatMap((id) => this.#nodes.get(id) ?? []);
    const node = { event, index: this.#inOrder.length, authEvents };
    this.#nodes.set(event.eventId, node);
    this.#inOrder.push(node);
  }

  authChainDifference(own: readonly (readonly string[])[], shared: SharedState): Iterable<string> {
    const { difference, lowest } = this.#partlyReached(own, shared);
    if (difference.size > 0) this.#removeReached(difference, lowest, shared);
    return difference;
  }

  conflictedSubgraph(conflicted: ReadonlySet<string>): Iterable<string> {
    const roots = [...conflicted].flatMap((id) => this.#nodes.get(id) ?? []);
    const lowest = roots.reduce((least, { index }) => Math.min(least, index), Number.POSITIVE_INFINITY);
    const behind = reachedFrom(roots, lowest);
    const leading = new Set<Node>();
    for (const node of [...behind].sort((a, b) => a.index - b.index)) {
      if (conflicted.has(node.event.eventId) || node.authEvents.some((link) => leading.has(link))) leading.add(node);
    }
    return [...leading].map(({ event }) => event.eventId);
  }

  /**
   * What some of the states reach from their own events and not all do; shared events, and what they lead to as far as the
   * walk comes, are reached by all.
   */
  #partlyReached(
    own: readonly (readonly string[])[],
    shared: SharedState,
  ): { difference: Set<string>; lowest: number } {
    const walk = new MarkingWalk(own.length);
    for (const [state, ids] of own.entries()) {
      for (const id of ids) {
        const node = this.#nodes.get(id);
        if (node !== undefined) walk.mark(node, maskOf(state, own.length));
      }
    }
    const difference = new Set<string>();
    let lowest = Number.POSITIVE_INFINITY;
    for (let next = walk.next(); next !== undefined; next = walk.next()) {
      const { node, mask } = next;
      const { eventId, type, stateKey = '' } = node.event;
      const isReachedByAll = walk.isFull(mask) || shared.get(type, stateKey) === eventId;
      if (!isReachedByAll) {
        difference.add(eventId);
        lowest = node.index;
      }
      for (const link of node.authEvents) walk.mark(link, isReachedByAll ? walk.full : mask);
    }
    return { difference, lowest };
  }

  /** Takes out of a set, of which one event is the earliest, what the chains of the shared state hold. */
  #removeReached(difference: Set<string>, lowest: number, shared: SharedState): void {
    const reached = new Set<Node>();
    // The shared state can be as large as the room. What is not earlier than the difference is less, as forks are young.
    for (let index = this.#inOrder.length - 1; index >= lowest && difference.size > 0; index -= 1) {
      const node = this.#inOrder[index] as Node;
      const { eventId, type, stateKey } = node.event;
      if (stateKey === undefined || !(reached.has(node) || shared.get(type, stateKey) === eventId)) continue;
      difference.delete(eventId);
      for (const link of node.authEvents) reached.add(link);
    }
  }
}

/** Goes through nodes from late to early, handing marks on, until all that is left is marked by everybody. */
class MarkingWalk {
  readonly full: Mask;
  readonly #masks = new Map<Node, Mask>();
  readonly #pending = new Heap<Node>((a, b) => b.index - a.index);
  readonly #partial = new Set<Node>();

  constructor(states: number) {
    this.full = new Int32Array(Math.ceil(states / MASK_BITS));
    for (let state = 0; state < states; state += 1) setBit(this.full, state);
  }

  isFull(mask: Mask): boolean {
    return mask.every((bits, at) => bits === this.full[at]);
  }

  mark(node: Node, marks: Mask): void {
    let mask = this.#masks.get(node);
    if (mask === undefined) {
      mask = new Int32Array(marks.length);
      this.#masks.set(node, mask);
      this.#pending.push(node);
    }
    for (const [at, bits] of marks.entries()) mask[at] = (mask[at] as number) | bits;
    if (this.isFull(mask)) this.#partial.delete(node);
    else this.#partial.add(node);
  }

  next(): { readonly node: Node; readonly mask: Mask } | undefined {
    const node = this.#partial.size === 0 ? undefined : this.#pending.pop();
    if (node === undefined) return undefined;
    this.#partial.delete(node);
    return { node, mask: this.#masks.get(node) as Mask };
  }
}

const MASK_BITS = 32;

function setBit(mask: Mask, bit: number): void {
  const at = Math.floor(bit / MASK_BITS);
  mask[at] = (mask[at] as number) | (1 << (bit % MASK_BITS));
}

function maskOf(state: number, states: number): Mask {
  const mask = new Int32Array(Math.ceil(states / MASK_BITS));
  setBit(mask, state);
  return mask;
}

/** Some nodes and what they lead to, as far as it is not earlier than a given one. */
function reachedFrom(roots: readonly Node[], lowest: number): Set<Node> {
  const reached = new Set(roots);
  // A set hands out what is added to it on the way.
  for (const node of reached) {
    for (const link of node.authEvents) if (link.index >= lowest) reached.add(link);
  }
  return reached;
}
