import type { RoomVersionRules } from '#protocol/room-version.ts';
import {
  type Resolution,
  type ResolutionEvent,
  resolveStates,
  type StateEntry,
} from '#protocol/state-resolution/index.ts';
import { SlotMap } from '#protocol/state-resolution/slot-map.ts';
import { RoomFileError } from './errors.ts';
import { OrderedAuthGraph } from './ordered-auth-graph.ts';
import { type RoomEvent, resolutionEventOf } from './room-event.ts';
import { inTopologicalOrder } from './topological-order.ts';

/** A state of a room as a file gives it. */
export interface GivenState {
  readonly file: string;
  readonly eventIds: readonly string[];
}

/**
 * Resolves states that were given. Nothing is known of how the events were received, so none counts as rejected.
 *
 * @throws {RoomFileError} if a state names an event that is not given, is no state event, is of another room than the
 *   others, or is the second of its key.
 * @throws {EventCycleError} if events authorise each other in a circle.
 */
export function resolveGivenStates(
  states: readonly GivenState[],
  events: ReadonlyMap<string, RoomEvent>,
  options: { readonly rules: RoomVersionRules; readonly trace: boolean },
): Resolution & { readonly state: readonly StateEntry[] } {
  const { rules, trace } = options;
  const entries = states.map((state) => entriesOf(state, events));
  const roomId = checkOneRoom(states, events);
  const graph = new OrderedAuthGraph(rules);
  const known = new Map<string, ResolutionEvent>();
  for (const event of inTopologicalOrder(events, rules, 'auth_events')) {
    const asState = event.roomId === roomId ? resolutionEventOf(event, false) : undefined;
    if (asState === undefined) continue;
    graph.add(event);
    known.set(event.eventId, asState);
  }
  return resolveStates(entries, { rules, event: (eventId) => known.get(eventId), graph, trace });
}

/** The room that all the states are of. */
function checkOneRoom(states: readonly GivenState[], events: ReadonlyMap<string, RoomEvent>): string | undefined {
  let roomId: string | undefined;
  for (const { file, eventIds } of states) {
    for (const [index, eventId] of eventIds.entries()) {
      const room = events.get(eventId)?.roomId;
      roomId ??= room;
      if (room !== roomId) {
        throw new RoomFileError(
          `${file}[${index}]`,
          `The event ${eventId} is in ${room}, those before it are in ${roomId}.`,
        );
      }
    }
  }
  return roomId;
}

function entriesOf({ file, eventIds }: GivenState, events: ReadonlyMap<string, RoomEvent>): StateEntry[] {
  const seen = new SlotMap<string>();
  return eventIds.map((eventId, index) => {
    const where = `${file}[${index}]`;
    const event = events.get(eventId);
    if (event === undefined) throw new RoomFileError(where, `The event ${eventId} is not among the PDUs.`);
    const { type, stateKey } = event;
    if (stateKey === undefined) throw new RoomFileError(where, `The event ${eventId} is no state event.`);
    const other = seen.get(type, stateKey);
    if (other !== undefined && other !== eventId) {
      const key = `${type} with the state key ${JSON.stringify(stateKey)}`;
      throw new RoomFileError(
        where,
        `A state has one event for a key, but ${other} and ${eventId} are both for ${key}.`,
      );
    }
    seen.set(type, stateKey, eventId);
    return { type, stateKey, eventId };
  });
}
