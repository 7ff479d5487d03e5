import { isUserId, serverNameOf } from '../identifiers.ts';
import { type RoomVersionRules, roomVersionRules } from '../room-version.ts';
import { type AuthInput, quoted, type Rejection, reject } from './types.ts';

/** Rule 1: the create event, which needs no state. */
export function checkCreate(event: AuthInput, rules: RoomVersionRules): Rejection | undefined {
  return (
    checkNoPrevEvents(event) ??
    checkRoomId(event, rules) ??
    checkRoomVersion(event) ??
    checkCreator(event, rules) ??
    checkAdditionalCreators(event, rules)
  );
}

/** 1.1. */
function checkNoPrevEvents(event: AuthInput): Rejection | undefined {
  return event.prev_events.length === 0
    ? undefined
    : reject('createHasPrevEvents', 'A create event is the first of its room, but this one has prev_events.');
}

/** 1.2: same domain as the sender before v12, none in v12. */
function checkRoomId(event: AuthInput, rules: RoomVersionRules): Rejection | undefined {
  if (!rules.eventFormat.createEventHasRoomId) {
    return event.room_id === undefined
      ? undefined
      : reject(
          'createRoomId',
          'The create event has a room_id, but in this room version the room id is made from its hash.',
        );
  }
  const roomServer = event.room_id === undefined ? undefined : serverNameOf(event.room_id);
  return roomServer !== undefined && roomServer === serverNameOf(event.sender)
    ? undefined
    : reject('createRoomId', `The room id ${event.room_id} is not of the server of the creator ${event.sender}.`);
}

/** 1.3. */
function checkRoomVersion(event: AuthInput): Rejection | undefined {
  const version = event.content.room_version;
  if (version === undefined || (typeof version === 'string' && roomVersionRules(version) !== undefined))
    return undefined;
  return reject('createRoomVersion', `The room version ${quoted(version)} is not known here.`);
}

/** v1–v10: 1.4. */
function checkCreator(event: AuthInput, rules: RoomVersionRules): Rejection | undefined {
  return !rules.authorization.creatorInContent || event.content.creator !== undefined
    ? undefined
    : reject('createCreator', 'The create event does not name the creator of the room.');
}

/** v12: 1.4. */
function checkAdditionalCreators(event: AuthInput, rules: RoomVersionRules): Rejection | undefined {
  const added = event.content.additional_creators;
  if (!rules.authorization.additionalCreators || added === undefined) return undefined;
  return Array.isArray(added) && added.every((userId) => typeof userId === 'string' && isUserId(userId))
    ? undefined
    : reject('createAdditionalCreators', 'The additional_creators of the create event are not a list of user ids.');
}
