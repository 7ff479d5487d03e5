/** The state of a room as a data folder has it, now or at a moment. */

import type { Reader } from '#projections/engine/reader.ts';
import { contentOf } from '#projections/rooms/event-content.ts';
import { stateAfter, stateBefore } from '#projections/rooms/event-row.ts';
import { hasPlace, type KnownEvent, knownEvent, knownEventAt } from '#projections/rooms/known-events.ts';
import type { Room } from '#projections/rooms/queries.ts';
import type { StateRef } from '#projections/rooms/state/index.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { lastRecordBy, stateEntriesOf, stateShownBefore } from '#src/rooms/as-of.ts';
import type { Position } from '#streams/event-log.ts';
import { type DataFolder, NotOnThisServer } from './data-folder.ts';

/** An event under a key of the state, as it is printed. */
export interface ShownStateEvent {
  readonly type: string;
  readonly state_key: string;
  readonly event_id: string;
  readonly sender: string;
  /** Milliseconds since the epoch, by the sender's server. */
  readonly origin_server_ts: number;
  readonly content: JsonObject;
}

/** The state before or after an event, where it stands in the graph. @throws {NotOnThisServer} if it has no place there */
export function stateAround(reader: Reader, room: Room, eventId: string, side: 'before' | 'after'): StateRef {
  const event = knownEvent(reader, eventId);
  if (event === undefined || event.row.room !== room.id) {
    throw new NotOnThisServer(`There is no event ${eventId} in ${room.roomId} on this server.`);
  }
  return stateAroundKnown(event, side);
}

/** The same for an event that was looked up. */
export function stateAroundKnown(event: KnownEvent, side: 'before' | 'after'): StateRef {
  if (!hasPlace(event)) {
    throw new NotOnThisServer(
      `${event.row.eventId} is known as ${event.disposition}, without its place in the room's graph: there is no state around it.`,
    );
  }
  return side === 'before' ? stateBefore(event.row) : stateAfter(event.row);
}

/**
 * The state that the server showed at a time: after the last event that it had taken onto the timeline by then, by its own
 * clock. A clock that was set back in between can move this by as much.
 */
export async function stateAtTime({ reader, log }: DataFolder, room: Room, timeMs: number): Promise<StateRef> {
  const last = await lastRecordBy(log, reader.frontier, timeMs);
  const state = stateShownBefore(reader, room, last + 1);
  if (state !== undefined) return state;
  throw new NotOnThisServer(`${room.roomId} was not on this server at ${new Date(timeMs).toISOString()}.`);
}

/** The state that the server showed once it had taken in a record of its log. @throws {NotOnThisServer} */
export function stateAtPosition(reader: Reader, room: Room, position: Position): StateRef {
  const state = stateShownBefore(reader, room, Math.min(position, reader.frontier) + 1);
  if (state !== undefined) return state;
  throw new NotOnThisServer(`${room.roomId} was not on this server after record ${position}.`);
}

/** The events of a state, ordered by type, then state key, or those of one type, or of all that begin with what is before a star; read while it is iterated. */
export function* stateEvents(reader: Reader, room: Room, state: StateRef, only?: string): Generator<ShownStateEvent> {
  for (const { type, stateKey, event } of stateEntriesOf(reader, room, state, only)) {
    const known = knownEventAt(reader, event);
    if (known === undefined) continue;
    const { eventId, sender, originServerTs } = known.row;
    yield {
      type,
      state_key: stateKey,
      event_id: eventId,
      sender,
      origin_server_ts: originServerTs,
      content: contentOf(known.row),
    };
  }
}
