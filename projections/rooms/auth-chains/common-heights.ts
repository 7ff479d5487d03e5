import type { Position } from '#streams/event-log.ts';
import type { ChainPlace } from './chain-graph.ts';
import type { Reached } from './reached.ts';

/** States that are marked in one pass: as many as an integer has bits to spare. */
const STATES_PER_PASS = 30;

/**
 * Of each chain the last place that all of the states lead to; chains in which that is not above the floor are left out.
 * Time grows with the places where roots and links are, times the states; a thirtieth of that, but for the roots.
 *
 * @param states for each its events; those without a place count as nothing.
 * @param placeOf the events' places.
 */
export function commonHeights(
  states: readonly (readonly Position[])[],
  placeOf: ReadonlyMap<Position, ChainPlace>,
  chains: ReadonlyMap<Position, Reached>,
): Map<Position, number> {
  const places = new Places(placeOf.values(), chains);
  const rootAt = new Map<Position, number>();
  for (const [event, place] of placeOf) {
    const at = places.indexOf(place);
    if (at !== undefined) rootAt.set(event, at);
  }
  const isCommon = new Uint8Array(places.count).fill(1);
  const marks = new Int32Array(places.count);
  for (let first = 0; first < states.length; first += STATES_PER_PASS) {
    marks.fill(0);
    const batch = states.slice(first, first + STATES_PER_PASS);
    for (const [bit, events] of batch.entries()) {
      for (const event of events) {
        const at = rootAt.get(event);
        if (at !== undefined) marks[at] = (marks[at] as number) | (1 << bit);
      }
    }
    const all = 2 ** batch.length - 1;
    for (const at of places.inOrder) {
      const mark = marks[at] as number;
      if (mark !== all) isCommon[at] = 0;
      if (mark === 0) continue;
      for (const next of places.nextOf(at)) marks[next] = (marks[next] as number) | mark;
    }
  }
  return places.lastWhere((at) => isCommon[at] === 1);
}

/** The places of chains that matter: where roots are, where links start and where they lead. */
class Places {
  readonly count: number;
  /** Each place before those that it leads to. */
  readonly inOrder: readonly number[];
  /** Chain → its places, and the index of the first; the others follow. */
  readonly #chains = new Map<Position, { readonly first: number; readonly seqs: readonly number[] }>();
  readonly #next: number[][] = [];

  constructor(roots: Iterable<ChainPlace>, chains: ReadonlyMap<Position, Reached>) {
    const seqs = new Map<Position, Set<number>>();
    const add = (chain: Position, seq: number): void => {
      if (seq <= (chains.get(chain)?.floor ?? 0)) return;
      const known = seqs.get(chain);
      if (known === undefined) seqs.set(chain, new Set([seq]));
      else known.add(seq);
    };
    for (const { chain, seq } of roots) add(chain, seq);
    for (const [from, { links }] of chains) {
      for (const { at, chain, seq } of links) {
        add(from, at);
        add(chain, seq);
      }
    }
    for (const [chain, known] of seqs) {
      const first = this.#next.length;
      const sorted = [...known].sort((a, b) => a - b);
      for (const index of sorted.keys()) this.#next.push(index === 0 ? [] : [first + index - 1]);
      this.#chains.set(chain, { first, seqs: sorted });
    }
    this.count = this.#next.length;
    for (const [from, { links }] of chains) {
      for (const { at, chain, seq } of links) {
        const target = this.indexOf({ chain, seq });
        if (target !== undefined) this.#next[this.indexOf({ chain: from, seq: at }) as number]?.push(target);
      }
    }
    this.inOrder = this.#sort();
  }

  /** `undefined` for a place at or below the floor of its chain. */
  indexOf({ chain, seq }: ChainPlace): number | undefined {
    const known = this.#chains.get(chain);
    if (known === undefined) return undefined;
    let low = 0;
    let high = known.seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((known.seqs[middle] as number) < seq) low = middle + 1;
      else high = middle;
    }
    return known.seqs[low] === seq ? known.first + low : undefined;
  }

  nextOf(at: number): readonly number[] {
    return this.#next[at] as number[];
  }

  /** Of each chain the last place for which a condition holds. */
  lastWhere(condition: (at: number) => boolean): Map<Position, number> {
    const last = new Map<Position, number>();
    for (const [chain, { first, seqs }] of this.#chains) {
      const seq = seqs.findLast((_, index) => condition(first + index));
      if (seq !== undefined) last.set(chain, seq);
    }
    return last;
  }

  /** Depth first, with a stack of its own. */
  #sort(): number[] {
    const done: number[] = [];
    const isSeen = new Uint8Array(this.count);
    const stack: { readonly at: number; next: number }[] = [];
    for (let root = 0; root < this.count; root += 1) {
      if (isSeen[root] === 1) continue;
      isSeen[root] = 1;
      stack.push({ at: root, next: 0 });
      for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
        const next = this.nextOf(frame.at)[frame.next];
        frame.next += 1;
        if (next === undefined) {
          done.push(frame.at);
          stack.pop();
        } else if (isSeen[next] === 0) {
          isSeen[next] = 1;
          stack.push({ at: next, next: 0 });
        }
      }
    }
    return done.reverse();
  }
}
