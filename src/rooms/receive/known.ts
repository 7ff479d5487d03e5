/** Which of the events that others name are here. */

import type { Reader } from '#projections/engine/reader.ts';
import { hasPlace, knownEvent } from '#projections/rooms/known-events.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { type StateMap, stateKeyOf } from '#src/sync/room-state.ts';
import type { ReceivingRoom } from './types.ts';

/** Those of the ids that no event here has, each once. */
export function unknownOf(reader: Reader, eventIds: Iterable<string>): string[] {
  return [...new Set(eventIds)].filter((eventId) => knownEvent(reader, eventId) === undefined);
}

/** Those of the ids whose events have no place in the graph of the room. An event of another room never has. */
export function unplacedOf(reader: Reader, { roomId }: ReceivingRoom, eventIds: readonly string[]): string[] {
  const room = findRoom(reader, roomId)?.id;
  return eventIds.filter((eventId) => {
    const known = knownEvent(reader, eventId);
    return known === undefined || known.row.room !== room || !hasPlace(known);
  });
}

/** As {@link unknownOf} for a list of any length, which others do not have to wait for. */
export async function unknownAmong(reader: Reader, eventIds: readonly string[]): Promise<string[]> {
  const unknown = new Set<string>();
  for (const eventId of eventIds) {
    if (sharedPacer.isDue) await sharedPacer.pause();
    if (knownEvent(reader, eventId) === undefined) unknown.add(eventId);
  }
  return [...unknown];
}

/**
 * The events of a told state by their keys, see `stateKeyOf`; what is not known, or was rejected, is left out, and so is what is no
 * state event of the room. Others do not have to wait.
 */
export async function toldState(
  reader: Reader,
  { roomId }: ReceivingRoom,
  eventIds: Iterable<string>,
): Promise<StateMap> {
  const state: StateMap = new Map();
  const room = findRoom(reader, roomId)?.id;
  for (const eventId of eventIds) {
    if (sharedPacer.isDue) await sharedPacer.pause();
    const known = knownEvent(reader, eventId);
    if (known?.row.stateKey === undefined || known.disposition === 'rejected') continue;
    if (known.row.room !== room) continue;
    state.set(stateKeyOf(known.row.type, known.row.stateKey), known.position);
  }
  return state;
}
