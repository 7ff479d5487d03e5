import { createEventIdFromRoomId } from '../hashing.ts';
import type { RoomVersionRules } from '../room-version.ts';
import { checkAliases } from './aliases.ts';
import { checkCreate } from './create.ts';
import { checkFederatedWith } from './federated.ts';
import { checkMembership } from './membership.ts';
import { checkPowerLevels } from './power-levels.ts';
import { checkRedaction } from './redaction.ts';
import { RoomState } from './room-state.ts';
import { type AuthEvent, type AuthInput, type AuthVerdict, type Rejection, reject, type StateLookup } from './types.ts';
import { verdict } from './verdict.ts';

/**
 * Whether the authorisation rules of a room version let an event into a room with a given state. What the event names
 * as its `auth_events` is the subject of `checkAuthEvents`, its signatures are checked before either.
 * Source: the room version's "Authorisation rules".
 *
 * @param lookup finds state events in the state to check against. It must find the create event in every room version,
 *   also where events do not name it (12), and must not find rejected events.
 */
export function checkAuth(event: AuthInput, lookup: StateLookup, rules: RoomVersionRules): AuthVerdict {
  if (event.type === 'm.room.create') return verdict(checkCreate(event, rules), rules);
  const create = lookup('m.room.create', '');
  const rejection =
    create === undefined
      ? reject('createEventMissing', 'The create event of the room is not known.')
      : (checkRoomIsThatOfCreate(event, create, rules) ?? checkInRoom(event, new RoomState(create, lookup, rules)));
  return verdict(rejection, rules);
}

/** v12: 2. */
function checkRoomIsThatOfCreate(event: AuthInput, create: AuthEvent, rules: RoomVersionRules): Rejection | undefined {
  if (rules.roomIdFormat !== 'create_event_hash') return undefined;
  return event.room_id !== undefined && createEventIdFromRoomId(event.room_id) === create.eventId
    ? undefined
    : reject(
        'createEventMissing',
        `The room id ${event.room_id ?? '(none)'} does not name the create event ${create.eventId}.`,
      );
}

function checkInRoom(event: AuthInput, state: RoomState): Rejection | undefined {
  const foreign = checkFederatedWith(event.sender, state);
  if (foreign !== undefined) return foreign;
  const { aliasesOfOwnServer, redactionPower } = state.rules.authorization;
  if (event.type === 'm.room.aliases' && aliasesOfOwnServer) {
    const outcome = checkAliases(event);
    return outcome === 'allow' ? undefined : outcome;
  }
  if (event.type === 'm.room.member') return checkMembership(event, state);
  const outside = checkSenderJoined(event, state);
  if (outside !== undefined) return outside;
  if (event.type === 'm.room.third_party_invite') return checkMayInvite(event, state);
  const refused = checkRequiredPower(event, state) ?? checkStateKeyIsOwn(event);
  if (refused !== undefined) return refused;
  if (event.type === 'm.room.power_levels') return checkPowerLevels(event, state);
  return event.type === 'm.room.redaction' && redactionPower ? checkRedaction(event, state) : undefined;
}

/** v1–v5: 6, v6–v11: 5, v12: 6. */
function checkSenderJoined(event: AuthInput, state: RoomState): Rejection | undefined {
  return state.membershipOf(event.sender) === 'join'
    ? undefined
    : reject('senderNotJoined', `${event.sender} is not in the room.`);
}

/** v1–v5: 7.1, v6–v11: 6.1, v12: 7.1. */
function checkMayInvite(event: AuthInput, state: RoomState): Rejection | undefined {
  const levels = state.powerLevels();
  const power = levels.powerLevelOf(event.sender);
  return power >= levels.invite
    ? undefined
    : reject('thirdPartyInvitePower', `${event.sender} has power ${power}; inviting takes ${levels.invite}.`);
}

/** v1–v5: 8, v6–v11: 7, v12: 8. */
function checkRequiredPower(event: AuthInput, state: RoomState): Rejection | undefined {
  const levels = state.powerLevels();
  const required = levels.requiredLevel(event.type, event.state_key !== undefined);
  const power = levels.powerLevelOf(event.sender);
  return required <= power
    ? undefined
    : reject('requiredPower', `${event.sender} has power ${power}; sending ${event.type} takes ${required}.`);
}

/** v1–v5: 9, v6–v11: 8, v12: 9. */
function checkStateKeyIsOwn(event: AuthInput): Rejection | undefined {
  const { state_key: stateKey } = event;
  return stateKey === undefined || !stateKey.startsWith('@') || stateKey === event.sender
    ? undefined
    : reject('stateKeyOfOtherUser', `The state key ${stateKey} is the id of another user than ${event.sender}.`);
}
