import type { Position } from '#streams/event-log.ts';
import type { ChainGraph, ChainLink, ChainPlace } from './chain-graph.ts';

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
  const chains = new Map<Position, Reached>();
  const pending: ChainPlace[] = [...roots];
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
    }
    reached.top = seq;
  }
  return chains;
}
