/** Which of the events that others name are here. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from '#projections/engine/reader.ts';
import { hasPlace, knownEvent } from '#projections/rooms/known-events.ts';
import { findRoom } from '#projections/rooms/queries.ts';
import type { Position } from '#streams/event-log.ts';
import type { ReceivingRoom } from './types.ts';

/** Events that are looked up in one turn of the event loop: some 10 ms. */
const LOOKUPS_PER_TURN = 2000;

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
  for await (const some of slicesOf(eventIds)) {
    for (const eventId of some) if (knownEvent(reader, eventId) === undefined) unknown.add(eventId);
  }
  return [...unknown];
}

/** Positions of the events of a told state; what is not known, or was rejected, is left out. Others do not have to wait. */
export async function toldPositions(reader: Reader, eventIds: readonly string[]): Promise<Position[]> {
  const positions: Position[] = [];
  for await (const some of slicesOf(eventIds)) {
    for (const eventId of some) {
      const known = knownEvent(reader, eventId);
      if (known !== undefined && known.disposition !== 'rejected') positions.push(known.position);
    }
  }
  return positions;
}

/** A long list in pieces, each in a turn of the event loop of its own. */
async function* slicesOf(list: readonly string[]): AsyncGenerator<readonly string[]> {
  for (let at = 0; at < list.length; at += LOOKUPS_PER_TURN) {
    if (at > 0) await nextTurn();
    yield list.slice(at, at + LOOKUPS_PER_TURN);
  }
}
