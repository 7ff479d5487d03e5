import { accountData } from '#projections/account-data/queries.ts';
import { findRoom, joinedMembers, userRoomOf } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import {
  accountDataDraft,
  PUSH_RULES_TYPE,
  pushRuleChangesOf,
  TAG_TYPE,
} from '#src/client-api/account-data/entries.ts';
import { changeUser, type UserStreamContext } from '#src/client-api/user-stream.ts';
import type { PushRuleChanges, UserRule } from '#src/push/rules.ts';
import { countOfRules } from '#src/push/user-rules.ts';
import type { RecordDraft } from '#streams/event-log.ts';
import type { Directory } from './directory.ts';
import type { Rooms } from './rooms.ts';

export interface CarryOverContext extends UserStreamContext {
  readonly rooms: Rooms;
  readonly directory: Directory;
  readonly serverName: string;
}

const DIRECT_TYPE = 'm.direct';
/** Push rules of one user beyond which none are copied. */
const MAX_RULES = 2000;
/** Members that are looked at to find out whether somebody of this server was in a room before. */
const MAX_MEMBERS_LOOKED_AT = 10_000;

/**
 * The room that another one replaces: the one that its create event names, if that room's tombstone names it. Undefined if it
 * replaces none, or none that this server knows.
 */
export function predecessorOf(rooms: Rooms, roomId: string): string | undefined {
  const predecessor = rooms.state(roomId, 'm.room.create', '')?.content['predecessor'];
  const oldRoomId = isJsonObject(predecessor) ? predecessor['room_id'] : undefined;
  if (typeof oldRoomId !== 'string' || oldRoomId === roomId || !rooms.knows(oldRoomId)) return undefined;
  const tombstone = rooms.state(oldRoomId, 'm.room.tombstone', '')?.content;
  return tombstone?.['replacement_room'] === roomId ? oldRoomId : undefined;
}

/**
 * Does for a user who has come into a room what follows if it replaces one that they were in: their tags, their push rules and
 * the note that it is a direct chat hold for the new room too. Doing it again changes nothing.
 * Source: client-server API, "Room Upgrades": "When a user joins the new room".
 */
export async function carryOver(context: CarryOverContext, userId: string, roomId: string): Promise<void> {
  const { rooms, reader } = context;
  const oldRoomId = predecessorOf(rooms, roomId);
  const oldRoom = oldRoomId === undefined ? undefined : findRoom(reader, oldRoomId);
  if (oldRoom === undefined || userRoomOf(reader, userId, oldRoom.id) === undefined) return;
  await changeUser(context, userId, () => [
    ...tags(context, userId, oldRoom.roomId, roomId),
    ...direct(context, userId, oldRoom.roomId, roomId),
    ...pushRules(context, userId, oldRoom.roomId, roomId),
  ]);
}

/**
 * To be called when the first user of this server has come into a room: if it replaces one, this server's aliases of the old
 * room and its place on the list of public rooms are the new room's.
 */
export async function moveNamesOnFirstJoin(context: CarryOverContext, userId: string, roomId: string): Promise<void> {
  const { rooms, reader, directory, serverName } = context;
  const oldRoomId = predecessorOf(rooms, roomId);
  const room = findRoom(reader, roomId);
  if (oldRoomId === undefined || room === undefined) return;
  let lookedAt = 0;
  for (const member of joinedMembers(reader, room.id)) {
    if (++lookedAt > MAX_MEMBERS_LOOKED_AT) return;
    if (member !== userId && member.endsWith(`:${serverName}`)) return;
  }
  await directory.move(oldRoomId, roomId);
}

function tags(context: CarryOverContext, userId: string, oldRoomId: string, roomId: string): RecordDraft[] {
  const old = accountData(context.reader, userId, TAG_TYPE, oldRoomId);
  if (old === undefined || accountData(context.reader, userId, TAG_TYPE, roomId) !== undefined) return [];
  return [accountDataDraft(context, userId, roomId, TAG_TYPE, parseJson(old) as JsonObject)];
}

function direct(context: CarryOverContext, userId: string, oldRoomId: string, roomId: string): RecordDraft[] {
  const json = accountData(context.reader, userId, DIRECT_TYPE);
  const chats = json === undefined ? undefined : parseJson(json);
  if (!isJsonObject(chats)) return [];
  const changed = Object.entries(chats).map(([partner, rooms]): [string, JsonValue | undefined] => {
    const isOld = Array.isArray(rooms) && rooms.includes(oldRoomId) && !rooms.includes(roomId);
    return [partner, isOld ? [...(rooms as readonly JsonValue[]), roomId] : rooms];
  });
  if (changed.every(([partner, rooms]) => chats[partner] === rooms)) return [];
  return [accountDataDraft(context, userId, undefined, DIRECT_TYPE, Object.fromEntries(changed))];
}

function pushRules(context: CarryOverContext, userId: string, oldRoomId: string, roomId: string): RecordDraft[] {
  const before = pushRuleChangesOf(context.reader, userId);
  const room = withCopies(
    before.rules.room,
    roomId,
    (rule) => rule.rule_id === oldRoomId && { ...rule, rule_id: roomId },
  );
  const ofRoom = (rule: UserRule): UserRule | false =>
    (rule.conditions ?? []).some((condition) => isAbout(condition, oldRoomId)) && {
      ...rule,
      rule_id: roomId,
      conditions: (rule.conditions ?? []).map((condition) =>
        isAbout(condition, oldRoomId) ? { ...condition, pattern: roomId } : condition,
      ),
    };
  const override = withCopies(before.rules.override, roomId, ofRoom);
  const underride = withCopies(before.rules.underride, roomId, ofRoom);
  const after: PushRuleChanges = {
    ...before,
    rules: {
      ...before.rules,
      ...(room && { room }),
      ...(override && { override }),
      ...(underride && { underride }),
    },
  };
  if (countOfRules(after) === countOfRules(before) || countOfRules(after) > MAX_RULES) return [];
  return [accountDataDraft(context, userId, undefined, PUSH_RULES_TYPE, after)];
}

/** Rules with the copy of the first one that has one put behind it, unless there is a rule of the copy's id. */
function withCopies(
  rules: readonly UserRule[] | undefined,
  roomId: string,
  copyOf: (rule: UserRule) => UserRule | false,
): readonly UserRule[] | undefined {
  if (rules === undefined || rules.some(({ rule_id }) => rule_id === roomId)) return rules;
  const index = rules.findIndex((rule) => copyOf(rule) !== false);
  const original = rules[index];
  const copy = original && copyOf(original);
  return copy ? rules.toSpliced(index + 1, 0, copy) : rules;
}

function isAbout(condition: JsonObject, roomId: string): boolean {
  return condition['kind'] === 'event_match' && condition['key'] === 'room_id' && condition['pattern'] === roomId;
}
