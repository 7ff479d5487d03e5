import type { Reader } from '#projections/engine/reader.ts';
import {
  asAuthEvent,
  isAwaited,
  type KnownEvent,
  knownEvent,
  knownEventAt,
  type ResolvingRoom,
} from '#projections/rooms/known-events.ts';
import { eventInState, type MergedState, stateBeforeEvent } from '#projections/rooms/merged-state.ts';
import { authEventAt, findRoom, headOf, stateEventPosition } from '#projections/rooms/queries.ts';
import { authEventTypes, type NamedAuthEvent } from '#protocol/auth/auth-events.ts';
import type { StateLookup } from '#protocol/auth/types.ts';
import { authEventIdsOf, prevEventIdsOf } from '#protocol/event-references.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import { type StateMap, stateKeyOf } from '#src/sync/room-state.ts';
import type { NewestPoint } from '../rooms.ts';
import type { Receipt, RoomMoment } from './types.ts';

/** The room of an event at this moment, as far as it is committed; undefined if nothing of the room is known. */
export function momentOf(reader: Reader, receipt: Receipt): RoomMoment | undefined {
  const { pdu } = receipt;
  const { rules, roomId } = receipt.room;
  const known = findRoom(reader, roomId);
  if (known === undefined) return undefined;
  const room: ResolvingRoom = { id: known.id, roomId, rules };
  const authEvents = authEventIdsOf(pdu, rules).flatMap((eventId) => namedEvent(reader, room, eventId) ?? []);
  const prevEventIds = prevEventIdsOf(pdu, rules);
  const extremities = headOf(reader, known.id)?.extremities ?? [];
  return {
    authEvents,
    createEvent: createEventOf(reader, room, authEvents),
    stateBefore:
      receipt.givenState === undefined
        ? lookupIn(reader, room, stateBeforeEvent(reader, room, prevEventIds).state)
        : lookupInGiven(reader, receipt.givenState),
    currentState: (type, stateKey) => {
      const position = stateEventPosition(reader, room.id, type, stateKey);
      return position === undefined ? undefined : authEventAt(reader, position);
    },
    extremitiesWith: extremities.filter((eventId) => !prevEventIds.includes(eventId)).length + 1,
  };
}

/**
 * An event of another server that follows all extremities of its room, or is no state event and follows what has a state that
 * the head knows, at the newest moment: with what is queued for the disk. Undefined where it is not such an event, or takes more
 * than what the head knows to judge.
 */
export function newestMomentOf(reader: Reader, receipt: Receipt, head: NewestPoint): RoomMoment | undefined {
  const { pdu, eventId } = receipt;
  const { rules, roomId } = receipt.room;
  const prevEventIds = new Set(prevEventIdsOf(pdu, rules));
  const behind = head.stateBehind(prevEventIds);
  const ends = head.extremities.filter((id) => !prevEventIds.has(id));
  const followsAll = ends.length === 0 && prevEventIds.size === head.extremities.length;
  if (behind === undefined || (!followsAll && pdu.state_key !== undefined) || head.isQueued(eventId)) return undefined;
  const known = findRoom(reader, roomId);
  if (known === undefined) return undefined;
  // What is known without its place, and what others name already, changes more than the newest point of the room.
  if (knownEvent(reader, eventId) !== undefined || isAwaited(reader, known.id, eventId)) return undefined;
  const room: ResolvingRoom = { id: known.id, roomId, rules };
  const queued = new Map<string, NamedAuthEvent>();
  for (const { type, stateKey } of authEventTypes(pdu, rules)) {
    const current = head.state(type, stateKey);
    if (current !== undefined) queued.set(current.eventId, { ...current, roomId, rejected: false });
  }
  const authEvents: NamedAuthEvent[] = [];
  for (const id of authEventIdsOf(pdu, rules)) {
    const authEvent = namedEvent(reader, room, id) ?? queued.get(id);
    if (authEvent === undefined) return undefined;
    authEvents.push(authEvent);
  }
  const createEvent = createEventOf(reader, room, authEvents);
  if (createEvent === undefined) return undefined;
  return {
    authEvents,
    createEvent,
    stateBefore: behind.isCurrent
      ? head.state
      : lookupIn(reader, room, stateBeforeEvent(reader, room, [behind.after]).state),
    currentState: head.state,
    extremitiesWith: ends.length + 1,
  };
}

function createEventOf(
  reader: Reader,
  room: ResolvingRoom,
  authEvents: readonly NamedAuthEvent[],
): NamedAuthEvent | undefined {
  return room.rules.eventFormat.createEventInAuthEvents
    ? authEvents.find(({ type }) => type === 'm.room.create')
    : namedEvent(reader, room, createEventIdFromRoomId(room.roomId));
}

function namedEvent(reader: Reader, room: ResolvingRoom, eventId: string): NamedAuthEvent | undefined {
  const event = knownEvent(reader, eventId);
  if (event === undefined) return undefined;
  return {
    ...asAuthEvent(event),
    stateKey: event.row.stateKey,
    roomId: event.row.room === room.id ? room.roomId : '(another)',
    rejected: event.disposition === 'rejected',
  };
}

function lookupIn(reader: Reader, room: ResolvingRoom, state: MergedState): StateLookup {
  return (type, stateKey) => {
    const position = eventInState(reader, room.id, state, type, stateKey);
    return position === undefined ? undefined : authEventOf(knownEventAt(reader, position));
  };
}

function lookupInGiven(reader: Reader, state: StateMap): StateLookup {
  return (type, stateKey) => {
    const position = state.get(stateKeyOf(type, stateKey));
    return position === undefined ? undefined : authEventOf(knownEventAt(reader, position));
  };
}

function authEventOf(event: KnownEvent | undefined) {
  return event === undefined || event.disposition === 'rejected' ? undefined : asAuthEvent(event);
}
