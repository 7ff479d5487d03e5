import { createEventIdFromRoomId } from '../hashing.ts';
import type { RoomVersionRules } from '../room-version.ts';
import type { EventLookup, ResolutionEvent } from './types.ts';

/**
 * The auth events of an event with the create event, also where the room id implies it (room version 12).
 * Source: rooms/v12, "Authorisation rules" and "State resolution".
 */
export function chainLinksOf(event: ResolutionEvent, rules: RoomVersionRules): readonly string[] {
  if (rules.eventFormat.createEventInAuthEvents || event.type === 'm.room.create') return event.authEventIds;
  return [...event.authEventIds, createEventIdFromRoomId(event.roomId)];
}

/** The auth events of an event, as far as they are known. Source: rooms/v2, "State resolution", "Auth chain". */
export function* authEventsOf(
  event: ResolutionEvent,
  lookup: EventLookup,
  rules: RoomVersionRules,
): Generator<ResolutionEvent> {
  for (const id of chainLinksOf(event, rules)) {
    const authEvent = lookup(id);
    if (authEvent !== undefined) yield authEvent;
  }
}

/** Whether an event is the power levels of its room. Source: rooms/v2, "State resolution", "Power events". */
export function isPowerLevels(event: ResolutionEvent): boolean {
  return event.type === 'm.room.power_levels' && event.stateKey === '';
}

/**
 * The first power levels among the auth events of an event.
 * Source: rooms/v2, "State resolution", "Mainline of a power level event".
 */
export function powerLevelsBehind(
  event: ResolutionEvent,
  lookup: EventLookup,
  rules: RoomVersionRules,
): ResolutionEvent | undefined {
  for (const authEvent of authEventsOf(event, lookup, rules)) {
    if (isPowerLevels(authEvent)) return authEvent;
  }
  return undefined;
}
