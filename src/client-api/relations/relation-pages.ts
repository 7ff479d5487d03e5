/** Pages of the events that relate to one. */
import type { Reader } from '#projections/engine/reader.ts';
import { type Child, childrenOf } from '#projections/relations/queries.ts';
import { type Event, eventAt, type TopologicalPlace } from '#projections/rooms/queries.ts';
import { placeAfter, placeBefore } from '#src/sync/tokens.ts';
import { type Direction, isAtOrBefore } from '../messages/page.ts';

/** How far indirect relations are followed. Source: the endpoint's specification, "at least 3 levels". */
export const RECURSION_DEPTH = 3;
/** Events that are looked at for one page; a page that needs more ends there, and the next one goes on. */
export const MAX_CHILDREN_SCANNED = 2000;
/** Events that are collected where indirect relations are asked for. */
export const MAX_DESCENDANTS = 2000;

export interface RelationsQuery {
  readonly relType: string | undefined;
  readonly eventType: string | undefined;
  readonly isRecursive: boolean;
  readonly direction: Direction;
  readonly from: TopologicalPlace | undefined;
  readonly to: TopologicalPlace | undefined;
  /** Most events. */
  readonly limit: number;
  /** Whether the user is to see the event. */
  accepts(event: Event): boolean;
}

export interface RelationsPage {
  readonly events: readonly Event[];
  /** Where the next page begins; undefined if there is none. */
  readonly next: TopologicalPlace | undefined;
}

/** The events that relate to one, in the order asked for. */
export function readRelations(reader: Reader, parent: Event, query: RelationsQuery): RelationsPage {
  const behind = query.direction === 'b' ? placeBefore : placeAfter;
  const events: Event[] = [];
  let scanned = 0;
  let last: TopologicalPlace | undefined;
  for (const child of query.isRecursive
    ? descendantsOf(reader, parent, query)
    : matchingChildren(reader, parent, query)) {
    if (query.to !== undefined && (query.direction === 'b') === isAtOrBefore(child, query.to)) break;
    if (++scanned > MAX_CHILDREN_SCANNED && last !== undefined) return { events, next: behind(last) };
    const event = eventAt(reader, child.position);
    if (event !== undefined && query.accepts(event)) {
      const shown = events.at(-1);
      // That there is one more is only known once it is found.
      if (events.length >= query.limit) return { events, next: shown && behind(shown) };
      events.push(event);
    }
    last = child;
  }
  return { events, next: undefined };
}

function* matchingChildren(reader: Reader, parent: Event, query: RelationsQuery): Generator<Child> {
  const { relType, eventType, from, direction } = query;
  for (const child of childrenOf(reader, parent.room, parent.eventId, { relType, from, direction })) {
    if (eventType === undefined || child.type === eventType) yield child;
  }
}

/** Direct and indirect relations together. What does not fit the query is not followed either. */
function descendantsOf(reader: Reader, parent: Event, query: RelationsQuery): Child[] {
  const { direction, from } = query;
  const found = new Map<number, Child>();
  let generation: readonly string[] = [parent.eventId];
  for (let depth = 1; depth <= RECURSION_DEPTH && generation.length > 0; depth += 1) {
    const next: string[] = [];
    for (const eventId of generation) {
      const whole: RelationsQuery = { ...query, from: undefined };
      for (const child of matchingChildren(reader, { ...parent, eventId }, whole)) {
        if (found.size >= MAX_DESCENDANTS) return inOrder([...found.values()], direction, from);
        if (found.has(child.position)) continue;
        found.set(child.position, child);
        const event = eventAt(reader, child.position);
        if (event !== undefined) next.push(event.eventId);
      }
    }
    generation = next;
  }
  return inOrder([...found.values()], direction, from);
}

function inOrder(children: Child[], direction: Direction, from: TopologicalPlace | undefined): Child[] {
  const sign = direction === 'f' ? 1 : -1;
  return children
    .filter((child) => from === undefined || (direction === 'b') === isAtOrBefore(child, from))
    .sort((a, b) => sign * (a.depth - b.depth || a.position - b.position));
}
