import type { Reader } from '#projections/engine/reader.ts';
import {
  asAuthEvent,
  type KnownEvent,
  knownEvent,
  knownEventAt,
  type ResolvingRoom,
} from '#projections/rooms/known-events.ts';
import { eventInState, type MergedState, stateBeforeEvent } from '#projections/rooms/merged-state.ts';
import { authEventAt, findRoom, headOf, stateEventPosition } from '#projections/rooms/queries.ts';
import type { StateLookup } from '#protocol/auth/types.ts';
import { authEventIdsOf, prevEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { Position } from '#streams/event-log.ts';
import type { Receipt, RoomMoment } from './types.ts';

/** The room of an event at this moment, as far as it is committed; undefined if nothing of the room is known. */
export function momentOf(reader: Reader, receipt: Receipt): RoomMoment | undefined {
  const { pdu } = receipt;
  const { rules, roomId } = receipt.room;
  const known = findRoom(reader, roomId);
  if (known === undefined) return undefined;
  const room: ResolvingRoom = { id: known.id, roomId, rules };
  const authEvents = authEventIdsOf(pdu, rules).flatMap((eventId) => knownEvent(reader, eventId) ?? []);
  const createEvent = rules.eventFormat.createEventInAuthEvents
    ? authEvents.find(({ row }) => row.type === 'm.room.create')
    : knownEvent(reader, createEventIdFromRoomId(roomId));
  const prevEventIds = prevEventIdsOf(pdu, rules);
  const extremities = headOf(reader, known.id)?.extremities ?? [];
  return {
    reader,
    room,
    authEvents,
    createEvent,
    stateBefore:
      receipt.givenState === undefined
        ? lookupIn(reader, room, stateBeforeEvent(reader, room, prevEventIds).state)
        : lookupAmongPositions(reader, receipt.givenState),
    currentState: (type, stateKey) => {
      const position = stateEventPosition(reader, room.id, type, stateKey);
      return position === undefined ? undefined : authEventAt(reader, position);
    },
    extremitiesWith: extremities.filter((eventId) => !prevEventIds.includes(eventId)).length + 1,
  };
}

function lookupIn(reader: Reader, room: ResolvingRoom, state: MergedState): StateLookup {
  return (type, stateKey) => {
    const position = eventInState(reader, room.id, state, type, stateKey);
    return position === undefined ? undefined : authEventOf(knownEventAt(reader, position));
  };
}

function lookupAmongPositions(reader: Reader, positions: readonly Position[]): StateLookup {
  const events = new Map<string, KnownEvent>();
  for (const position of positions) {
    const event = knownEventAt(reader, position);
    if (event?.row.stateKey !== undefined) events.set(keyOf(event.row.type, event.row.stateKey), event);
  }
  return (type, stateKey) => authEventOf(events.get(keyOf(type, stateKey)));
}

function authEventOf(event: KnownEvent | undefined) {
  return event === undefined || event.disposition === 'rejected' ? undefined : asAuthEvent(event);
}

/** A map key for a pair of event type and state key; the length keeps pairs apart whatever characters they hold. */
function keyOf(type: string, stateKey: string): string {
  return `${type.length}:${type}${stateKey}`;
}
