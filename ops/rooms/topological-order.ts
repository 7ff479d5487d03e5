import { compareCodePoints } from '#protocol/canonical-json.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { Heap } from '#protocol/state-resolution/heap.ts';
import { EventCycleError } from './errors.ts';
import type { RoomEvent } from './room-event.ts';

interface Node {
  readonly event: RoomEvent;
  readonly dependents: Node[];
  /** How many of the events before it are not in order yet. */
  waitsFor: number;
}

/** What an event has to come after: its auth events, the create event among them; and its prev events or not. */
export type Links = 'prev_and_auth_events' | 'auth_events';

/**
 * Events in an order in which each comes after those that it names, as far as they are given. Of those that may come next
 * the earliest by `origin_server_ts` does, then the least by id: the order of the input never matters.
 *
 * @throws {EventCycleError}
 */
export function inTopologicalOrder(
  events: ReadonlyMap<string, RoomEvent>,
  rules: RoomVersionRules,
  links: Links = 'prev_and_auth_events',
): RoomEvent[] {
  const nodes = new Map<string, Node>();
  for (const event of events.values()) nodes.set(event.eventId, { event, dependents: [], waitsFor: 0 });
  const ready = new Heap<Node>(compareNodes);
  for (const node of nodes.values()) {
    for (const id of eventsBefore(node.event, rules, links)) {
      const earlier = nodes.get(id);
      if (earlier === undefined) continue;
      earlier.dependents.push(node);
      node.waitsFor += 1;
    }
    if (node.waitsFor === 0) ready.push(node);
  }
  const ordered: RoomEvent[] = [];
  for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
    ordered.push(node.event);
    for (const dependent of node.dependents) {
      dependent.waitsFor -= 1;
      if (dependent.waitsFor === 0) ready.push(dependent);
    }
  }
  if (ordered.length < nodes.size) throw new EventCycleError(findCycle(nodes, rules, links));
  return ordered;
}

/** Each event that has to come before another, once. */
function eventsBefore(event: RoomEvent, rules: RoomVersionRules, links: Links): Set<string> {
  const before = new Set(event.authEventIds);
  if (links === 'prev_and_auth_events') for (const id of event.prevEventIds) before.add(id);
  if (!rules.eventFormat.createEventInAuthEvents && event.type !== 'm.room.create') {
    before.add(createEventIdFromRoomId(event.roomId));
  }
  return before;
}

/** One circle among the events that are not in order. Each of them waits for another, so going back always ends in one. */
function findCycle(nodes: ReadonlyMap<string, Node>, rules: RoomVersionRules, links: Links): string[] {
  const way = new Map<string, number>();
  let at = [...nodes.values()].find(({ waitsFor }) => waitsFor > 0);
  while (at !== undefined && !way.has(at.event.eventId)) {
    way.set(at.event.eventId, way.size);
    const waiting: Node[] = [...eventsBefore(at.event, rules, links)].flatMap((id) => nodes.get(id) ?? []);
    at = waiting.find(({ waitsFor }) => waitsFor > 0);
  }
  return [...way.keys()].slice(at === undefined ? 0 : way.get(at.event.eventId));
}

function compareNodes(a: Node, b: Node): number {
  if (a.event.originServerTs !== b.event.originServerTs) {
    return a.event.originServerTs < b.event.originServerTs ? -1 : 1;
  }
  return compareCodePoints(a.event.eventId, b.event.eventId);
}
