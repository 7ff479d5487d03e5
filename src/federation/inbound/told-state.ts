/** The state before an event, as other servers are told it: read in turns of the event loop, however many members there are. */
import type { Reader } from '#projections/engine/reader.ts';
import { authChainOf } from '#projections/rooms/auth-chains/index.ts';
import { MAIN_LINE, type StateRef, stateEntriesAt } from '#projections/rooms/state/index.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { stateAtVersion } from '#src/sync/room-state.ts';
import type { Position } from '#streams/event-log.ts';

const MEMBER = 'm.room.member';

/** Positions of the events of a state, in no order. */
export async function stateToTell(
  reader: Reader,
  room: Position,
  state: StateRef,
  options: { readonly withMembers: boolean },
): Promise<Position[]> {
  const { withMembers } = options;
  if (state.branch === MAIN_LINE) {
    const found = await stateAtVersion({ reader, room, pacer: sharedPacer }, state.version, withMembers);
    return [...found.values()];
  }
  const events: Position[] = [];
  for (const { type, event } of stateEntriesAt(reader, room, state)) {
    if (withMembers || type !== MEMBER) events.push(event);
  }
  return events;
}

/** Positions of all that authorises some events, in no order. */
export async function authChainToTell(
  reader: Reader,
  room: Position,
  events: readonly Position[],
): Promise<Set<Position>> {
  const chain = new Set<Position>();
  for (const event of authChainOf(reader, room, events)) {
    chain.add(event);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  return chain;
}

/** Each event after those that authorise it: they were known before it. Some servers read a list as if it were a history. */
export function inOrder(events: Iterable<Position>): Position[] {
  return [...events].sort((a, b) => a - b);
}
