import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { ChainGraph, type ChainLink, type ChainPlace, LINKS_PER_READ, TOP } from './chain-graph.ts';
import { type Reached, reachedFrom, searchReached } from './reached.ts';

/** Chain → the first place from which it leads to one of the ends. */
type Leading = Map<Position, number>;

/**
 * The events on paths of auth events from one of the given events to another, ends included, by position. Events that are
 * not in the index are passed over.
 *
 * They are what is behind the given events and what rests on them at once. Both are looked for by turns; once either is
 * known, only what lies in it is left to look at. So time grows with the lesser of the two, counted in chains and links.
 */
export function conflictedSubgraph(reader: Reader, room: Position, conflicted: ReadonlySet<Position>): Position[] {
  const graph = new ChainGraph(reader, room);
  const ends = graph.placesOf(conflicted);
  const { leading, chains } = bothWays(graph, ends);
  const subgraph: Position[] = [];
  for (const [chain, { top }] of chains) {
    const first = leading.get(chain);
    if (first !== undefined && first <= top) subgraph.push(...graph.eventsBetween(chain, first - 1, top));
  }
  return subgraph.sort((a, b) => a - b);
}

function bothWays(
  graph: ChainGraph,
  ends: readonly ChainPlace[],
): { readonly leading: Leading; readonly chains: ReadonlyMap<Position, Reached> } {
  const up = searchLeading(graph, ends);
  const down = searchReached(graph, ends, () => 0);
  for (;;) {
    const above = up.next();
    if (above.done === true) {
      const leading = above.value;
      // What leads to none of the ends is below every floor.
      const floorOf = (chain: Position) => (leading.get(chain) ?? Number.POSITIVE_INFINITY) - 1;
      return { leading, chains: reachedFrom(graph, ends, floorOf) };
    }
    const below = down.next();
    if (below.done === true) return { leading: leadingAmong(ends, below.value), chains: below.value };
  }
}

/** What leads to the ends, in steps of some links each. */
function* searchLeading(graph: ChainGraph, ends: readonly ChainPlace[]): Generator<undefined, Leading> {
  const leading: Leading = new Map();
  const pending: ChainPlace[] = [...ends];
  let links = 0;
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    const { chain, seq } = place;
    const before = leading.get(chain) ?? TOP;
    if (seq >= before) continue;
    leading.set(chain, seq);
    let last: ChainLink | undefined;
    do {
      const citations = graph.citationsBetween(chain, seq, before, last);
      for (const citation of citations) pending.push(citation);
      last = citations.length < LINKS_PER_READ ? undefined : citations.at(-1);
      links += citations.length;
      if (links < LINKS_PER_READ) continue;
      links = 0;
      yield;
    } while (last !== undefined);
  }
  return leading;
}

/** Chain → the first place from which it leads to one of the ends, of chains that the ends lead into. */
function leadingAmong(ends: readonly ChainPlace[], chains: ReadonlyMap<Position, Reached>): Map<Position, number> {
  const citations = new Map<Position, ChainLink[]>();
  for (const [chain, { links }] of chains) {
    for (const { at, chain: toChain, seq } of links) {
      const list = citations.get(toChain);
      const citation = { at: seq, chain, seq: at };
      if (list === undefined) citations.set(toChain, [citation]);
      else list.push(citation);
    }
  }
  for (const list of citations.values()) list.sort((a, b) => a.at - b.at);
  const lowest = new Map<Position, number>();
  const pending: ChainPlace[] = [...ends];
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    const { chain, seq } = place;
    const before = lowest.get(chain) ?? Number.POSITIVE_INFINITY;
    if (seq >= before) continue;
    lowest.set(chain, seq);
    const list = citations.get(chain) ?? [];
    for (let index = firstAfter(list, seq - 1); index < list.length; index += 1) {
      const citation = list[index] as ChainLink;
      if (citation.at >= before) break;
      pending.push(citation);
    }
  }
  return lowest;
}

/** Index of the first link after a place, in links by place. */
function firstAfter(links: readonly ChainLink[], place: number): number {
  let low = 0;
  let high = links.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((links[middle] as ChainLink).at <= place) low = middle + 1;
    else high = middle;
  }
  return low;
}
