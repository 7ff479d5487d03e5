import type { Reader } from '#projections/engine/reader.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { eventAt, findRoom, membersOf, stateEventsOfType } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { creatorsOf } from '#protocol/power-levels.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { EventToSend } from './event-writer.ts';
import { defaultPowerLevels } from './first-events.ts';
import type { Rooms } from './rooms.ts';
import { levelsForSetUp, transferredLevels } from './upgrade-levels.ts';

/** State that goes over to the new room as it is. Source: client-server API, "Room Upgrades", step 3. */
const COPIED_TYPES: readonly string[] = [
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.encryption',
  'm.room.server_acl',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.canonical_alias',
];
/** What is said in the new room where the old one has no word on it: what that means, for whoever waits for the event. */
const UNSAID: Readonly<Record<string, JsonObject>> = { 'm.room.guest_access': { guest_access: 'forbidden' } };
/** Bans that are part of making the new room; more of them follow one by one. An append holds a megabyte at most. */
const MAX_FIRST_BANS = 300;

/** A room that is to be replaced, and by whom. */
export interface Replacement {
  readonly rooms: Rooms;
  readonly reader: Reader;
  readonly oldRoomId: string;
  readonly newRules: RoomVersionRules;
  readonly userId: string;
  /** Creators of the new room beside the user, where its version has such. */
  readonly additionalCreators: readonly string[];
}

/** The events of the new room. */
export interface ReplacementEvents {
  /** What makes it, in order, given the event of the old room that it continues from, if it is to name one. */
  readonly first: (predecessorEventId: string | undefined) => readonly EventToSend[];
  /** What is left to be sent into it afterwards, in order. */
  readonly later: readonly EventToSend[];
}

/** What the room that replaces another begins with. Source: client-server API, "Room Upgrades". */
export function replacementEvents(replacement: Replacement): ReplacementEvents {
  const { rooms, reader, oldRoomId, newRules, userId } = replacement;
  const add = (type: string, content: JsonObject, stateKey = ''): EventToSend => ({
    sender: userId,
    type,
    stateKey,
    content,
  });
  const levels = newLevels(replacement);
  const setUpLevels = levelsForSetUp(levels, userId, newRules);
  const copied = COPIED_TYPES.flatMap((type) => {
    const content = rooms.state(oldRoomId, type, '')?.content ?? UNSAID[type];
    // Content that is empty says what no event says: the setting was taken back.
    if (content === undefined || Object.keys(content).length === 0) return [];
    return [add(type, type === 'm.room.join_rules' ? supportedJoinRule(content, newRules) : content)];
  });
  const closing = [...bansIn(replacement).map(([target, content]) => add('m.room.member', content, target))];
  if (setUpLevels !== levels) closing.push(add('m.room.power_levels', levels));
  return {
    first: (predecessorEventId) => [
      add('m.room.create', createContent(replacement, predecessorEventId)),
      add('m.room.member', { ...profileOf(reader, userId), membership: 'join' }, userId),
      add('m.room.power_levels', setUpLevels),
      ...copied,
      ...childrenOf(replacement).map(([child, content]) => add('m.space.child', content, child)),
      ...closing.slice(0, MAX_FIRST_BANS),
    ],
    later: closing.slice(MAX_FIRST_BANS),
  };
}

function createEvent({ rooms, oldRoomId }: Pick<Replacement, 'rooms' | 'oldRoomId'>) {
  const create = rooms.state(oldRoomId, 'm.room.create', '');
  if (create === undefined) throw new MatrixError('M_UNKNOWN', 'The room has no create event.');
  return create;
}

function createContent(replacement: Replacement, predecessorEventId: string | undefined): JsonObject {
  const { oldRoomId, newRules, userId, additionalCreators } = replacement;
  const old = createEvent(replacement).content;
  return {
    ...(newRules.authorization.creatorInContent && { creator: userId }),
    room_version: newRules.version,
    predecessor: { room_id: oldRoomId, ...(predecessorEventId !== undefined && { event_id: predecessorEventId }) },
    ...(old['type'] !== undefined && { type: old['type'] }),
    ...(old['m.federate'] !== undefined && { 'm.federate': old['m.federate'] }),
    ...(newRules.authorization.additionalCreators &&
      additionalCreators.length > 0 && { additional_creators: additionalCreators }),
  };
}

function newLevels(replacement: Replacement): JsonObject {
  const { rooms, oldRoomId, newRules, userId, additionalCreators } = replacement;
  const old = rooms.state(oldRoomId, 'm.room.power_levels', '')?.content;
  if (old === undefined) return defaultPowerLevels([userId], newRules);
  const oldRules = rooms.rules(oldRoomId);
  return transferredLevels({
    old,
    oldRules,
    oldPrivileged: oldRules.authorization.privilegedCreators ? creatorsOf(createEvent(replacement), oldRules) : [],
    newRules,
    newCreators: [userId, ...additionalCreators],
  });
}

/** A join rule that the new version does not have would keep everybody out, also those who are invited. */
function supportedJoinRule(content: JsonObject, { authorization }: RoomVersionRules): JsonObject {
  const isKnown: { readonly [rule: string]: boolean } = {
    knock: authorization.knocking,
    restricted: authorization.restrictedJoins,
    knock_restricted: authorization.knockRestrictedJoins,
  };
  const rule = content['join_rule'];
  return typeof rule === 'string' && isKnown[rule] === false ? { join_rule: 'invite' } : content;
}

/** Who is banned from the old room, with the content of the ban. */
function bansIn({ reader, oldRoomId, userId }: Replacement): [string, JsonObject][] {
  const room = findRoom(reader, oldRoomId);
  const bans: [string, JsonObject][] = [];
  for (const member of room ? membersOf(reader, room.id) : []) {
    if (member.membership !== 'ban' || member.userId === userId) continue;
    const event = eventAt(reader, member.event);
    const reason: JsonValue | undefined = event && (parseJson(event.contentJson) as JsonObject)['reason'];
    bans.push([member.userId, { membership: 'ban', ...(reason !== undefined && { reason }) }]);
  }
  return bans;
}

/** The rooms of a space that is replaced, with the content of their links. */
function childrenOf(replacement: Replacement): [string, JsonObject][] {
  const { reader, oldRoomId } = replacement;
  if (createEvent(replacement).content['type'] !== 'm.space') return [];
  const room = findRoom(reader, oldRoomId);
  const links = room ? [...stateEventsOfType(reader, room.id, 'm.space.child')] : [];
  return links.flatMap((event): [string, JsonObject][] => {
    const content = parseJson(event.contentJson);
    return isJsonObject(content) && Array.isArray(content['via']) ? [[event.stateKey ?? '', content]] : [];
  });
}
