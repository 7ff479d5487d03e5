import type { Position } from '#streams/event-log.ts';
import { type ChainGraph, type ChainLink, type ChainPlace, LINKS_PER_READ, TOP } from './chain-graph.ts';
import { reachedFrom } from './reached.ts';

/** What states have in common, as far as the index asks. */
export interface SharedEvents {
  /** Whether an event is in the shared state. */
  has(event: Position): boolean;
  /**
   * The event of the shared state under the type and state key of an event. Without it the index tries the events of a
   * chain one by one.
   */
  ofSameKey?(event: Position): Position | undefined;
  /** Every event of the shared state. Read only where finding what rests on an event takes too long. */
  events?(): Iterable<Position>;
}

/**
 * So many links are looked at to find what of the shared state rests on the events that were asked for. In an ordinary room
 * it is a handful; but somebody can have made any number of events that rest on his own and are in no state.
 */
export const MAX_CITATIONS = 5_000;

/** A stretch of a chain whose citations are still to be looked at. */
interface Stretch extends ChainPlace {
  readonly before: number;
  readonly last: ChainLink | undefined;
}

/**
 * Tells of each chain up to where the chains of the shared state hold it: its floor. Found from above: from what rests on
 * an event to what rests on that, until an event of the shared state turns up. What was found is kept, so that all
 * questions together look at each chain little more than once. After {@link MAX_CITATIONS} the rest is found from the shared
 * state down, which costs what the room is large.
 */
export class SharedFloor {
  readonly #graph: ChainGraph;
  readonly #shared: SharedEvents;
  readonly #floors = new Map<Position, number>();
  /** Chain → the place of its event in the shared state; 0 for none. */
  readonly #own = new Map<Position, number>();
  /** Chain → the first place from which on the shared state does not hold it. */
  readonly #absentFrom = new Map<Position, number>();
  #citationsLeft: number;
  /** All floors, once they were found from the shared state itself; a chain that is not in it has none. */
  #all: ReadonlyMap<Position, { readonly top: number }> | undefined;

  constructor(graph: ChainGraph, shared: SharedEvents, maxCitations: number = MAX_CITATIONS) {
    this.#graph = graph;
    this.#shared = shared;
    this.#citationsLeft = maxCitations;
  }

  /** The last place of a chain that the shared state's chains hold; 0 if none. */
  of(chain: Position): number {
    const known = this.#floors.get(chain) ?? this.#all?.get(chain)?.top;
    if (known !== undefined) return known;
    const floor = this.#find(chain) ?? this.#findAll().get(chain)?.top ?? 0;
    this.#floors.set(chain, floor);
    this.#absentFrom.set(chain, floor + 1);
    return floor;
  }

  /** From above. `undefined` if that takes too long. */
  #find(chain: Position): number | undefined {
    if (this.#all !== undefined) return undefined;
    const own = this.#ownPlace(chain);
    let last: ChainLink | undefined;
    for (;;) {
      const citations = this.#citationsOf({ chain, seq: own + 1, before: TOP, last });
      for (const citation of citations) {
        const isHeld = this.#isHeld(citation);
        if (isHeld === undefined) return undefined;
        if (isHeld) return citation.at;
      }
      if (citations.length < LINKS_PER_READ) return own;
      last = citations.at(-1);
    }
  }

  /** From the shared state down. */
  #findAll(): ReadonlyMap<Position, { readonly top: number }> {
    this.#all ??= reachedFrom(this.#graph, this.#graph.placesOf(this.#shared.events?.() ?? []), () => 0);
    return this.#all;
  }

  #citationsOf({ chain, seq, before, last }: Stretch): ChainLink[] {
    const citations = this.#graph.citationsBetween(chain, seq, before, last);
    this.#citationsLeft -= citations.length;
    return citations;
  }

  /** Whether the chains of the shared state hold a place. `undefined` if it takes too long to know. */
  #isHeld(place: ChainPlace): boolean | undefined {
    const known = this.#knownOf(place);
    if (known !== undefined) return known;
    const seen = new Map<Position, number>();
    const pending: Stretch[] = [];
    const enter = ({ chain, seq }: ChainPlace): void => {
      const before = Math.min(seen.get(chain) ?? TOP, this.#absentFrom.get(chain) ?? TOP);
      if (seq >= before) return;
      seen.set(chain, seq);
      pending.push({ chain, seq, before, last: undefined });
    };
    enter(place);
    for (let next = 0; next < pending.length; next += 1) {
      if (this.#citationsLeft < 0 && this.#shared.events !== undefined) return undefined;
      const stretch = pending[next] as Stretch;
      const citations = this.#citationsOf(stretch);
      for (const citation of citations) if (this.#knownOf(citation) === true) return true;
      for (const citation of citations) enter(citation);
      if (citations.length === LINKS_PER_READ) pending.push({ ...stretch, last: citations.at(-1) });
    }
    for (const [chain, seq] of seen) this.#absentFrom.set(chain, seq);
    return false;
  }

  #knownOf({ chain, seq }: ChainPlace): boolean | undefined {
    if (seq <= (this.#floors.get(chain) ?? 0) || seq <= this.#ownPlace(chain)) return true;
    return seq >= (this.#absentFrom.get(chain) ?? Number.POSITIVE_INFINITY) ? false : undefined;
  }

  #ownPlace(chain: Position): number {
    const known = this.#own.get(chain);
    if (known !== undefined) return known;
    const place = this.#findOwn(chain);
    this.#own.set(chain, place);
    return place;
  }

  #findOwn(chain: Position): number {
    const shared = this.#shared;
    if (shared.ofSameKey === undefined) return this.#graph.lastSeqWhere(chain, (event) => shared.has(event));
    const event = shared.ofSameKey(chain);
    const node = event === undefined ? undefined : this.#graph.node(event);
    return node?.chain === chain ? node.seq : 0;
  }
}
