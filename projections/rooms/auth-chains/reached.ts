import type { Position } from '#streams/event-log.ts';
import { type ChainGraph, type ChainLink, type ChainPlace, LINKS_PER_READ } from './chain-graph.ts';

/** A chain as far as some events lead into it. */
export interface Reached {
  /** Up to here it is not looked at. */
  readonly floor: number;
  /** The last place that they lead to. */
  top: number;
  /** Where it leads between floor and top, by place. */
  readonly links: ChainLink[];
}

/** The chains that places lead into, above their floors. */
export function reachedFrom(
  graph: ChainGraph,
  roots: Iterable<ChainPlace>,
  floorOf: (chain: Position) => number,
): Map<Position, Reached> {
  const search = searchReached(graph, roots, floorOf);
  for (;;) {
    const step = search.next();
    if (step.done === true) return step.value;
  }
}

/** {@link reachedFrom} in steps of some links each. */
export function* searchReached(
  graph: ChainGraph,
  roots: Iterable<ChainPlace>,
  floorOf: (chain: Position) => number,
): Generator<undefined, Map<Position, Reached>> {
  const chains = new Map<Position, Reached>();
  const pending: ChainPlace[] = [...roots];
  let links = 0;
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    const { chain, seq } = place;
    let reached = chains.get(chain);
    if (reached === undefined) {
      const floor = floorOf(chain);
      reached = { floor, top: floor, links: [] };
      chains.set(chain, reached);
    }
    if (seq <= reached.top) continue;
    for (const link of graph.linksBetween(chain, reached.top, seq)) {
      reached.links.push(link);
      pending.push(link);
      links += 1;
      if (links % LINKS_PER_READ === 0) yield;
    }
    reached.top = seq;
  }
  return chains;
}
