import { createEventIdFromRoomId } from '../hashing.ts';
import { isJsonObject } from '../json-object.ts';
import type { JsonObject } from '../pdu.ts';
import type { RoomVersionRules } from '../room-version.ts';
import {
  type AuthEvent,
  type AuthInput,
  type AuthVerdict,
  quoted,
  type Rejection,
  reject,
  type StateEventType,
} from './types.ts';
import { verdict } from './verdict.ts';

/** What selecting auth events looks at. */
type SelectionInput = Pick<AuthInput, 'type' | 'sender' | 'state_key' | 'content'>;

/**
 * Which state events an event names to authorise it; those that the room does not have are left out by the caller.
 * Source: server-server API, "Auth events selection".
 */
export function authEventTypes(event: SelectionInput, rules: RoomVersionRules): StateEventType[] {
  if (event.type === 'm.room.create') return [];
  const selected: StateEventType[] = [];
  if (rules.eventFormat.createEventInAuthEvents) selected.push({ type: 'm.room.create', stateKey: '' });
  selected.push({ type: 'm.room.power_levels', stateKey: '' }, { type: 'm.room.member', stateKey: event.sender });
  if (event.type === 'm.room.member') addMembershipTypes(selected, event, rules);
  return selected;
}

function addMembershipTypes(selected: StateEventType[], event: SelectionInput, rules: RoomVersionRules): void {
  const { content, state_key: target } = event;
  const membership = content.membership;
  if (target !== undefined) addMember(selected, target);
  if (membership === 'join' || membership === 'invite' || membership === 'knock') {
    selected.push({ type: 'm.room.join_rules', stateKey: '' });
  }
  const token = membership === 'invite' ? thirdPartyToken(content) : undefined;
  if (token !== undefined) selected.push({ type: 'm.room.third_party_invite', stateKey: token });
  const voucher = content.join_authorised_via_users_server;
  if (membership === 'join' && rules.authorization.restrictedJoins && typeof voucher === 'string') {
    addMember(selected, voucher);
  }
}

function addMember(selected: StateEventType[], userId: string): void {
  const isThere = selected.some(({ type, stateKey }) => type === 'm.room.member' && stateKey === userId);
  if (!isThere) selected.push({ type: 'm.room.member', stateKey: userId });
}

function thirdPartyToken(content: JsonObject): string | undefined {
  const invite = content.third_party_invite;
  const signed = isJsonObject(invite) ? invite.signed : undefined;
  const token = isJsonObject(signed) ? signed.token : undefined;
  return typeof token === 'string' ? token : undefined;
}

/** An event that another names in its `auth_events`, with what is known of it. */
export interface NamedAuthEvent extends Omit<AuthEvent, 'stateKey'> {
  /** `undefined` for an event that is no state event and so can authorise nothing. */
  readonly stateKey: string | undefined;
  /** The room it is in. For the create event of room version 12 too, where the PDU itself does not say. */
  readonly roomId: string;
  /** Whether it failed the checks on receipt of a PDU. */
  readonly rejected: boolean;
}

/**
 * Checks the `auth_events` that an event names, whatever the state of the room: the rules before those of `checkAuth`.
 * Run once, when the event is received.
 * Source: the room version's "Authorisation rules": v1–v11: 2, v12: 2 and 3.
 *
 * @param roomId of the room that the event is in.
 * @param authEvents what the event names, looked up.
 * @param createEvent the room's create event if it is known, where the room id implies it (room version 12).
 */
export function checkAuthEvents(
  event: SelectionInput,
  roomId: string,
  authEvents: readonly NamedAuthEvent[],
  createEvent: { readonly eventId: string; readonly rejected: boolean } | undefined,
  rules: RoomVersionRules,
): AuthVerdict {
  if (event.type === 'm.room.create') return verdict(undefined, rules);
  const rejection =
    checkImpliedCreateEvent(roomId, createEvent, rules) ??
    checkNoDuplicates(authEvents) ??
    checkSelection(event, authEvents, rules) ??
    checkNoneRejected(authEvents) ??
    checkNamesCreateEvent(authEvents, rules) ??
    checkSameRoom(roomId, authEvents);
  return verdict(rejection, rules);
}

/** v12: 2. */
function checkImpliedCreateEvent(
  roomId: string,
  createEvent: { readonly eventId: string; readonly rejected: boolean } | undefined,
  rules: RoomVersionRules,
): Rejection | undefined {
  if (rules.eventFormat.createEventInAuthEvents) return undefined;
  const createEventId = createEventIdFromRoomId(roomId);
  if (createEvent?.eventId !== createEventId) {
    return reject('createEventMissing', `The create event ${createEventId} that the room id names is not known.`);
  }
  return createEvent.rejected
    ? reject('createEventMissing', `The create event ${createEventId} that the room id names was rejected.`)
    : undefined;
}

/** v1–v11: 2.1, v12: 3.1. */
function checkNoDuplicates(authEvents: readonly NamedAuthEvent[]): Rejection | undefined {
  const seen = new Set<string>();
  for (const { type, stateKey } of authEvents) {
    if (stateKey === undefined) continue;
    const slot = `${type.length}:${type}${stateKey}`;
    if (seen.has(slot)) {
      return reject(
        'authEventsDuplicate',
        `Its auth_events name two ${type} events with the state key ${quoted(stateKey)}.`,
      );
    }
    seen.add(slot);
  }
  return undefined;
}

/** v1–v11: 2.2, v12: 3.2. */
function checkSelection(
  event: SelectionInput,
  authEvents: readonly NamedAuthEvent[],
  rules: RoomVersionRules,
): Rejection | undefined {
  const allowed = authEventTypes(event, rules);
  const stray = authEvents.find(
    (named) => !allowed.some(({ type, stateKey }) => type === named.type && stateKey === named.stateKey),
  );
  return stray === undefined
    ? undefined
    : reject(
        'authEventsNotSelected',
        `Its auth_events name ${stray.eventId}, a ${stray.type} event with ${stray.stateKey === undefined ? 'no state key' : `the state key ${quoted(stray.stateKey)}`}, which does not authorise such an event.`,
      );
}

/** v1–v11: 2.3, v12: 3.3. */
function checkNoneRejected(authEvents: readonly NamedAuthEvent[]): Rejection | undefined {
  const rejected = authEvents.find((named) => named.rejected);
  return rejected === undefined
    ? undefined
    : reject('authEventsRejected', `Its auth_events name ${rejected.eventId}, which was itself rejected.`);
}

/** v1–v11: 2.4. */
function checkNamesCreateEvent(authEvents: readonly NamedAuthEvent[], rules: RoomVersionRules): Rejection | undefined {
  if (!rules.eventFormat.createEventInAuthEvents) return undefined;
  return authEvents.some(({ type }) => type === 'm.room.create')
    ? undefined
    : reject('createEventMissing', 'Its auth_events do not name the create event of the room.');
}

/** v1–v11: 2.5, v12: 3.4. */
function checkSameRoom(roomId: string, authEvents: readonly NamedAuthEvent[]): Rejection | undefined {
  const foreign = authEvents.find((named) => named.roomId !== roomId);
  return foreign === undefined
    ? undefined
    : reject(
        'authEventsOfOtherRoom',
        `Its auth_events name ${foreign.eventId}, which is in the room ${foreign.roomId}.`,
      );
}
