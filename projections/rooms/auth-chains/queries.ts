import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { ChainGraph, type ChainPlace } from './chain-graph.ts';
import { commonHeights } from './common-heights.ts';
import { reachedFrom } from './reached.ts';
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
