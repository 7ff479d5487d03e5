import type { Reader } from '#projections/engine/reader.ts';
import type { Event } from '#projections/rooms/queries.ts';
import type { Pacer } from '#src/sync/pacer.ts';
import { addMembers, type StateMap, stateEvents } from '#src/sync/room-state.ts';

/**
 * The member events of those who sent some events, as of a version of the room's state.
 * https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members
 */
export async function membersOfSenders(
  reader: Reader,
  pacer: Pacer,
  events: readonly Event[],
  version: number,
): Promise<Event[]> {
  const [first] = events;
  if (first === undefined) return [];
  const positions: StateMap = new Map();
  const senders = new Set(events.map(({ sender }) => sender));
  addMembers({ reader, room: first.room, pacer }, version, senders, positions);
  return stateEvents({ reader, pacer }, positions.values(), () => true);
}
