import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { ChainGraph, type ChainLink, type ChainPlace } from './chain-graph.ts';
import { commonHeights } from './common-heights.ts';
import { type Reached, reachedFrom } from './reached.ts';
import { type SharedEvents, SharedFloor } from './shared-floor.ts';
import { authNodes } from './tables.ts';

/** Whether an event is in the index. */
export function isIndexed(reader: Reader, event: Position): boolean {
  return reader.has(authNodes, [event]);
}

/** The auth events of an event, as far as they were known; none for an event that is not in the index. */
export function authEventsOf(reader: Reader, event: Position): readonly Position[] {
  return reader.get(authNodes, [event])?.authEvents ?? [];
}

/**
 * The whole auth chain of some events: those events are in it only where one is behind another. Reads while it is iterated;
 * time and memory grow with the answer.
 */
export function* authChainOf(reader: Reader, _room: Position, roots: Iterable<Position>): Generator<Position> {
  const seen = new Set<Position>();
  const pending: Position[] = [];
  for (const root of roots) {
    pending.push(root);
    for (let event = pending.pop(); event !== undefined; event = pending.pop()) {
      for (const authEvent of authEventsOf(reader, event)) {
        if (seen.has(authEvent)) continue;
        seen.add(authEvent);
        yield authEvent;
        pending.push(authEvent);
      }
    }
  }
}

/**
 * The events in the auth chains of some states but not of all. The events of state `i` are `own[i]` and the shared ones,
 * and count as part of its chains. Events that are not in the index are passed over.
 *
 * Time grows with what lies between the states' own events and the chains of the shared state, counted in chains and links,
 * and with what rests on that.
 *
 * @returns them by position.
 */
export function authChainDifference(
  reader: Reader,
  room: Position,
  own: readonly (readonly Position[])[],
  shared: SharedEvents,
): Position[] {
  const graph = new ChainGraph(reader, room);
  const floor = new SharedFloor(graph, shared);
  const places = new Map<Position, ChainPlace>();
  for (const events of own) {
    for (const event of events) {
      const place = places.has(event) ? undefined : graph.node(event);
      if (place !== undefined) places.set(event, place);
    }
  }
  const chains = reachedFrom(graph, places.values(), (chain) => floor.of(chain));
  const common = commonHeights(own, places, chains);
  const difference: Position[] = [];
  for (const [chain, reached] of chains) {
    const from = common.get(chain) ?? reached.floor;
    if (from < reached.top) difference.push(...graph.eventsBetween(chain, from, reached.top));
  }
  return difference.sort((a, b) => a - b);
}

/**
 * The events on paths of auth events from one of the given events to another, ends included, by position. Events that are
 * not in the index are passed over. Time grows with the chains behind the events, counted in chains and links.
 */
export function conflictedSubgraph(reader: Reader, room: Position, conflicted: ReadonlySet<Position>): Position[] {
  const graph = new ChainGraph(reader, room);
  const ends = graph.placesOf(conflicted);
  const chains = reachedFrom(graph, ends, () => 0);
  const lowest = leadingTo(ends, chains);
  const subgraph: Position[] = [];
  for (const [chain, seq] of lowest)
    subgraph.push(...graph.eventsBetween(chain, seq - 1, (chains.get(chain) as Reached).top));
  return subgraph.sort((a, b) => a - b);
}

/** Chain → the first place from which some place leads to one of the ends. */
function leadingTo(ends: readonly ChainPlace[], chains: ReadonlyMap<Position, Reached>): Map<Position, number> {
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
