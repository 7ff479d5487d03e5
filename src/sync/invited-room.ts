/** The sections of a sync's answer about rooms that the user is invited to, or has asked to join. */
import { type Event, eventAt, type Room, stateEvent, strippedStateOf } from '#projections/rooms/queries.ts';
import { blocksInvites } from '#src/rooms/invite-permission.ts';
import type { Position } from '#streams/event-log.ts';
import { strippedEvent } from './client-event.ts';
import type { SyncRun } from './run.ts';

/** What tells somebody outside what the room is. Source: client-server API, "Stripped state". */
export const STRIPPED_STATE_TYPES = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
];

/**
 * JSON text of a room that the user is invited to or knocks on, as it was then: later changes are not for people outside.
 * Undefined if the one who invites is somebody whom the user ignores, or if they have invites turned down.
 */
export function strippedRoom(
  run: SyncRun,
  room: Room,
  section: 'invite_state' | 'knock_state',
  membershipEvent: Position,
): string | undefined {
  const events = strippedRoomEvents(run, room, section, membershipEvent);
  return events && `{"${section}":{"events":${events}}}`;
}

/** JSON text of the list of events in it. */
export function strippedRoomEvents(
  run: SyncRun,
  room: Room,
  section: 'invite_state' | 'knock_state',
  membershipEvent: Position,
): string | undefined {
  const membership = eventAt(run.reader, membershipEvent);
  if (membership === undefined || run.ignored.has(membership.sender)) return undefined;
  if (section === 'invite_state' && blocksInvites(run.reader, run.viewer.userId)) return undefined;
  const told = strippedStateOf(run.reader, room.id, run.viewer.userId);
  if (told !== undefined) return withEvent(told, strippedEvent(membership));
  const events: Event[] = [];
  const add = (type: string, stateKey: string): void => {
    const event = stateEvent(run.reader, room.id, type, stateKey, membership.stateVersion);
    if (event !== undefined) events.push(event);
  };
  for (const type of STRIPPED_STATE_TYPES) add(type, '');
  if (membership.sender !== membership.stateKey) add('m.room.member', membership.sender);
  events.push(membership);
  return `[${events.map(strippedEvent).join(',')}]`;
}

/** What another server told of a room in which this one is not, with the event that says where the user stands. */
function withEvent(listJson: string, eventJson: string): string {
  return listJson === '[]' ? `[${eventJson}]` : `${listJson.slice(0, -1)},${eventJson}]`;
}
