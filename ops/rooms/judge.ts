import {
  type AuthEvent,
  type AuthVerdict,
  checkAuth,
  checkAuthEvents,
  type StateLookup,
} from '#protocol/auth/index.ts';
import { createEventIdFromRoomId } from '#protocol/hashing.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { authInputOf, namedAuthEvent, type RoomEvent } from './room-event.ts';

/** Events from files, by id, and which of them are known to be rejected. */
export interface JudgedEvents {
  readonly events: ReadonlyMap<string, RoomEvent>;
  readonly rejected: ReadonlySet<string>;
}

/**
 * Whether the authorisation rules let an event in, by what its own `auth_events` say: the rules about those events, then
 * all others against the state that they make up. The event's form, hashes and signatures and the state before it are not
 * part of it.
 *
 * @param room the events before it, already judged.
 */
export function judgeByAuthEvents(event: RoomEvent, room: JudgedEvents, rules: RoomVersionRules): AuthVerdict {
  const input = authInputOf(event);
  if (event.type === 'm.room.create') return checkAuth(input, () => undefined, rules);
  const missing = event.authEventIds.find((id) => !room.events.has(id));
  if (missing !== undefined) {
    const reason = `Its auth_events name ${missing}, which is not among the PDUs.`;
    return { allowed: false, rule: rules.authorization.ruleNumbers.authEventsUnknown, reason };
  }
  const named = event.authEventIds.flatMap((id) => {
    const authEvent = room.events.get(id);
    return authEvent === undefined ? [] : [namedAuthEvent(authEvent, room.rejected.has(id))];
  });
  const create = impliedCreateEvent(event, room, rules);
  const verdict = checkAuthEvents(input, event.roomId, named, create, rules);
  if (!verdict.allowed) return verdict;
  const own = create === undefined ? named : [create, ...named];
  const find: StateLookup = (type, stateKey) =>
    own.find((candidate): candidate is typeof candidate & AuthEvent => {
      return candidate.type === type && candidate.stateKey === stateKey;
    });
  return checkAuth(input, find, rules);
}

/** The create event that the room id names, where events do not name it themselves (room version 12). */
function impliedCreateEvent({ roomId }: RoomEvent, room: JudgedEvents, rules: RoomVersionRules) {
  if (rules.eventFormat.createEventInAuthEvents) return undefined;
  const create = room.events.get(createEventIdFromRoomId(roomId));
  return create?.type === 'm.room.create' ? namedAuthEvent(create, room.rejected.has(create.eventId)) : undefined;
}
