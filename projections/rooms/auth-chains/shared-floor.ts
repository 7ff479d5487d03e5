import type { Position } from '#streams/event-log.ts';
import type { ChainGraph, ChainLink, ChainPlace } from './chain-graph.ts';

/** What states have in common, as far as the index asks. */
export interface SharedEvents {
  /** Whether an event is in the shared state. */
  has(event: Position): boolean;
  /**
   * The event of the shared state under the type and state key of an event. Without it the index tries the events of a
   * chain one by one.
   */
  ofSameKey?(event: Position): Position | undefined;
}

/** Links that are read at a time. */
const LINKS_PER_READ = 64;
const TOP = 2 ** 32 - 1;

/** A stretch of a chain whose citations are still to be looked at. */
interface Stretch extends ChainPlace {
  readonly before: number;
  readonly last: ChainLink | undefined;
}

/**
 * Tells of each chain up to where the chains of the shared state hold it: its floor. Found from above: from what rests on
 * an event to what rests on that, until an event of the shared state turns up. What was found is kept, so that all
 * questions together look at each chain little more than once.
 */
export class SharedFloor {
  readonly #graph: ChainGraph;
  readonly #shared: SharedEvents;
  readonly #floors = new Map<Position, number>();
  /** Chain → the place of its event in the shared state; 0 for none. */
  readonly #own = new Map<Position, number>();
  /** Chain → the first place from which on the shared state does not hold it. */
  readonly #absentFrom = new Map<Position, number>();

  constructor(graph: ChainGraph, shared: SharedEvents) {
    this.#graph = graph;
    this.#shared = shared;
  }

  /** The last place of a chain that the shared state's chains hold; 0 if none. */
  of(chain: Position): number {
    const known = this.#floors.get(chain);
    if (known !== undefined) return known;
    const floor = this.#find(chain);
    this.#floors.set(chain, floor);
    this.#absentFrom.set(chain, floor + 1);
    return floor;
  }

  #find(chain: Position): number {
    const own = this.#ownPlace(chain);
    let last: ChainLink | undefined;
    for (;;) {
      const citations = this.#graph.citationsBetween(chain, own + 1, TOP, LINKS_PER_READ, last);
      for (const citation of citations) if (this.#isHeld(citation)) return citation.at;
      if (citations.length < LINKS_PER_READ) return own;
      last = citations.at(-1);
    }
  }

  /** Whether the chains of the shared state hold a place. */
  #isHeld(place: ChainPlace): boolean {
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
      const { chain, seq, before, last } = pending[next] as Stretch;
      const citations = this.#graph.citationsBetween(chain, seq, before, LINKS_PER_READ, last);
      for (const citation of citations) if (this.#knownOf(citation) === true) return true;
      for (const citation of citations) enter(citation);
      if (citations.length === LINKS_PER_READ) pending.push({ chain, seq, before, last: citations.at(-1) });
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
