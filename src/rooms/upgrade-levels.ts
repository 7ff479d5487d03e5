import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { DEFAULT_LEVELS, levelIn } from '#protocol/power-levels.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';

/** Level of the creators of a room that gives them no power beyond all levels. */
const ADMIN_LEVEL = 100;
/** What replacing a room takes where creators stand above all levels. Source: rooms/v12 and client-server API, `POST /createRoom`. */
const TOMBSTONE_LEVEL = 150;
/** Least level for talking and inviting in a room that was replaced. Source: client-server API, "Room Upgrades". */
const REPLACED_ROOM_LEVEL = 50;
const LEVEL_MAPS = ['users', 'events', 'notifications'] as const;

/** What the power levels of a room become in the room that replaces it. */
export interface LevelTransfer {
  /** Content of the power levels of the old room. */
  readonly old: JsonObject;
  readonly oldRules: RoomVersionRules;
  /** Who stood above all levels in the old room; empty where nobody did. */
  readonly oldPrivileged: readonly string[];
  readonly newRules: RoomVersionRules;
  /** Who makes the new room: the one who upgrades, then the others. */
  readonly newCreators: readonly string[];
}

/** The power levels of the new room, in the end. Levels that the new version does not read become numbers. */
export function transferredLevels({ old, oldRules, oldPrivileged, newRules, newCreators }: LevelTransfer): JsonObject {
  const levels = newRules.authorization.integerLevels ? withIntegers(old, oldRules) : old;
  const users: { [userId: string]: JsonValue | undefined } = { ...objectIn(levels, 'users') };
  if (!newRules.authorization.privilegedCreators) {
    const highest = Math.max(ADMIN_LEVEL, ...numbersIn(users, newRules));
    for (const userId of oldPrivileged) users[userId] = highest;
    return { ...levels, users };
  }
  for (const userId of newCreators) delete users[userId];
  const events = objectIn(levels, 'events');
  const tombstone = numberIn(events['m.room.tombstone'], newRules) ?? 0;
  return {
    ...levels,
    users,
    events: { ...events, 'm.room.tombstone': Math.max(tombstone, TOMBSTONE_LEVEL) },
  };
}

/** The same with enough power for who makes the new room to set it up; the same object if they have it anyway. */
export function levelsForSetUp(levels: JsonObject, userId: string, rules: RoomVersionRules): JsonObject {
  if (rules.authorization.privilegedCreators) return levels;
  const users = objectIn(levels, 'users');
  const named = ['state_default', 'ban', 'users_default'] as const;
  const required = Math.max(
    ...named.map((name) => numberIn(levels[name], rules) ?? DEFAULT_LEVELS[name]),
    ...numbersIn(objectIn(levels, 'events'), rules),
  );
  const own =
    numberIn(users[userId], rules) ?? numberIn(levels['users_default'], rules) ?? DEFAULT_LEVELS.users_default;
  return own >= required ? levels : { ...levels, users: { ...users, [userId]: required } };
}

/**
 * The power levels of a room that was replaced, so that few go on in it; undefined if they are like that.
 * Source: client-server API, "Room Upgrades", step 6.
 */
export function restrictedLevels(levels: JsonObject, rules: RoomVersionRules): JsonObject | undefined {
  const usersDefault = numberIn(levels['users_default'], rules) ?? DEFAULT_LEVELS.users_default;
  const least = Math.max(REPLACED_ROOM_LEVEL, usersDefault + 1);
  const raised: { [key: string]: number } = {};
  for (const name of ['events_default', 'invite'] as const) {
    if ((numberIn(levels[name], rules) ?? DEFAULT_LEVELS[name]) < least) raised[name] = least;
  }
  return Object.keys(raised).length === 0 ? undefined : { ...levels, ...raised };
}

function withIntegers(levels: JsonObject, rules: RoomVersionRules): JsonObject {
  const converted: { [key: string]: JsonValue | undefined } = { ...levels };
  for (const name of Object.keys(DEFAULT_LEVELS)) convert(converted, name, rules);
  for (const name of LEVEL_MAPS) {
    if (converted[name] === undefined) continue;
    const map: { [key: string]: JsonValue | undefined } = { ...objectIn(levels, name) };
    for (const key of Object.keys(map)) convert(map, key, rules);
    converted[name] = map;
  }
  return converted;
}

/** Makes a level the number that it stands for; what stands for none goes, so that the default counts as before. */
function convert(levels: { [key: string]: JsonValue | undefined }, key: string, rules: RoomVersionRules): void {
  if (levels[key] === undefined) return;
  const level = numberIn(levels[key], rules);
  if (level !== undefined && Number.isSafeInteger(level)) levels[key] = level;
  else delete levels[key];
}

function numbersIn(levels: JsonObject, rules: RoomVersionRules): number[] {
  return Object.values(levels).flatMap((level) => numberIn(level, rules) ?? []);
}

/** What a level comes to in a room that only takes integers of canonical JSON: the nearest number. */
function numberIn(value: JsonValue | undefined, rules: RoomVersionRules): number | undefined {
  const level = levelIn(value, rules);
  return level === undefined ? undefined : Number(level);
}

function objectIn(content: JsonObject, key: string): JsonObject {
  const value = content[key];
  return isJsonObject(value) ? value : {};
}
