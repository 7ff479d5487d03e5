import type { RoomVersionRules } from '../room-version.ts';
import { chainLinksOf } from './auth-chain.ts';
import { AuthChainCycleError, AuthChainTooLargeError } from './errors.ts';
import type { AuthGraph, EventLookup, SharedState } from './types.ts';

/** Most events that a walk over auth chains visits. */
export const MAX_AUTH_CHAIN_EVENTS = 1_000_000;

/** States that are marked in one walk: as many as an integer has bits to spare. */
const STATES_PER_PASS = 30;

/**
 * An {@link AuthGraph} that walks the auth chains. Time and memory grow with the chains, not with their number of paths.
 *
 * Its methods throw {@link AuthChainCycleError} and {@link AuthChainTooLargeError}.
 * Source: rooms/v2, "State resolution", "Auth difference"; rooms/v12, "Conflicted state subgraph".
 */
export function plainAuthGraph(lookup: EventLookup, rules: RoomVersionRules): AuthGraph {
  return new PlainAuthGraph(lookup, rules);
}

/** Part of the graph: its nodes in an order in which each comes after its auth events. */
interface Chains {
  readonly ids: readonly string[];
  readonly indexOf: ReadonlyMap<string, number>;
  /** Node → its auth events. */
  readonly links: readonly (readonly number[])[];
}

class PlainAuthGraph implements AuthGraph {
  readonly #lookup: EventLookup;
  readonly #rules: RoomVersionRules;

  constructor(lookup: EventLookup, rules: RoomVersionRules) {
    this.#lookup = lookup;
    this.#rules = rules;
  }

  authChainDifference(own: readonly (readonly string[])[], shared: SharedState): Iterable<string> {
    const chains = this.#chainsOf(own.flat());
    const difference = new Set<string>();
    const inAll = new Uint8Array(chains.ids.length).fill(1);
    const inSome = new Uint8Array(chains.ids.length);
    for (let first = 0; first < own.length; first += STATES_PER_PASS) {
      markReached(chains, own.slice(first, first + STATES_PER_PASS), inAll, inSome);
    }
    for (const [index, id] of chains.ids.entries()) {
      if (inSome[index] === 1 && inAll[index] === 0) difference.add(id);
    }
    this.#removeReached(difference, shared);
    return difference;
  }

  conflictedSubgraph(conflicted: ReadonlySet<string>): Iterable<string> {
    const chains = this.#chainsOf(conflicted);
    const leads = new Uint8Array(chains.ids.length);
    const subgraph: string[] = [];
    for (const [index, id] of chains.ids.entries()) {
      if (!conflicted.has(id) && !(chains.links[index] as readonly number[]).some((link) => leads[link] === 1))
        continue;
      leads[index] = 1;
      subgraph.push(id);
    }
    return subgraph;
  }

  /** Takes out of a set what the chains of the shared state hold. */
  #removeReached(difference: Set<string>, shared: SharedState): void {
    if (difference.size === 0) return;
    const seen = new Set<string>();
    const pending: string[] = [];
    for (const root of shared.eventIds()) {
      pending.push(root);
      for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
        if (seen.has(id)) continue;
        const event = this.#lookup(id);
        if (event === undefined) continue;
        if (seen.size === MAX_AUTH_CHAIN_EVENTS) throw new AuthChainTooLargeError(MAX_AUTH_CHAIN_EVENTS);
        seen.add(id);
        difference.delete(id);
        if (difference.size === 0) return;
        pending.push(...chainLinksOf(event, this.#rules));
      }
    }
  }

  /** The auth chains of some events, those events included; depth first with a stack of our own. */
  #chainsOf(roots: Iterable<string>): Chains {
    const ids: string[] = [];
    const links: number[][] = [];
    const indexOf = new Map<string, number>();
    const open = new Set<string>();
    const stack: { readonly id: string; readonly next: readonly string[]; at: number }[] = [];
    const enter = (id: string): void => {
      if (indexOf.has(id)) return;
      if (open.has(id)) throw new AuthChainCycleError(id);
      const event = this.#lookup(id);
      if (event === undefined) return;
      if (indexOf.size + open.size === MAX_AUTH_CHAIN_EVENTS) throw new AuthChainTooLargeError(MAX_AUTH_CHAIN_EVENTS);
      open.add(id);
      stack.push({ id, next: chainLinksOf(event, this.#rules), at: 0 });
    };
    for (const root of roots) {
      enter(root);
      for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
        const next = frame.next[frame.at];
        frame.at += 1;
        if (next !== undefined) {
          enter(next);
          continue;
        }
        stack.pop();
        open.delete(frame.id);
        indexOf.set(frame.id, ids.length);
        ids.push(frame.id);
        links.push(frame.next.map((id) => indexOf.get(id)).filter((index) => index !== undefined));
      }
    }
    return { ids, indexOf, links };
  }
}

/** Marks what the chains of a few states hold: clears `inAll` where one of them does not, sets `inSome` where one does. */
function markReached(
  { ids, indexOf, links }: Chains,
  states: readonly (readonly string[])[],
  inAll: Uint8Array,
  inSome: Uint8Array,
): void {
  const marks = new Int32Array(ids.length);
  for (const [bit, state] of states.entries()) {
    for (const id of state) {
      const index = indexOf.get(id);
      if (index !== undefined) marks[index] = (marks[index] as number) | (1 << bit);
    }
  }
  const all = 2 ** states.length - 1;
  for (let index = ids.length - 1; index >= 0; index -= 1) {
    const mark = marks[index] as number;
    for (const link of links[index] as readonly number[]) marks[link] = (marks[link] as number) | mark;
    if (mark !== 0) inSome[index] = 1;
    if (mark !== all) inAll[index] = 0;
  }
}
