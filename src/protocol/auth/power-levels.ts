import { isJsonObject, ownValue } from '../json-object.ts';
import type { JsonObject } from '../pdu.ts';
import { creatorsOf, DEFAULT_LEVELS, type Level, levelIn } from '../power-levels.ts';
import type { RoomVersionRules } from '../room-version.ts';
import type { RoomState } from './room-state.ts';
import { type AuthInput, quoted, type Rejection, reject } from './types.ts';

const NAMED_LEVELS = Object.keys(DEFAULT_LEVELS);
const LEVEL_MAPS = ['events', 'notifications'] as const;

/** The rules of `m.room.power_levels` events. v1–v5: 10, v6–v11: 9, v12: 10. */
export function checkPowerLevels(event: AuthInput, state: RoomState): Rejection | undefined {
  const malformed =
    checkNamedAreIntegers(event.content, state.rules) ??
    checkMapsHoldIntegers(event.content, state.rules) ??
    checkUsers(event.content, state.rules) ??
    checkNoCreatorListed(event.content, state);
  if (malformed !== undefined) return malformed;
  // v1–v5: 10.2, v6–v9: 9.2, v10, v11: 9.4, v12: 10.5. Whoever may send the first one may send any.
  const current = isOfRoom(event) ? state.powerLevelsContent() : undefined;
  if (current === undefined) return undefined;
  const change: Change = {
    current,
    proposed: event.content,
    sender: event.sender,
    power: state.powerLevels().powerLevelOf(event.sender),
    rules: state.rules,
  };
  return checkNamedChanges(change) ?? checkMapChanges(change) ?? checkUserChanges(change);
}

/**
 * Whether an event sets the room's power levels. One with a state key has no effect; the network compares it with
 * nothing.
 */
function isOfRoom({ state_key: stateKey }: AuthInput): boolean {
  return stateKey === undefined || stateKey === '';
}

/** v10, v11: 9.1, v12: 10.1. */
function checkNamedAreIntegers(content: JsonObject, rules: RoomVersionRules): Rejection | undefined {
  if (!rules.authorization.integerLevels) return undefined;
  const wrong = NAMED_LEVELS.find((name) => content[name] !== undefined && levelIn(content[name], rules) === undefined);
  return wrong === undefined
    ? undefined
    : reject('levelsNotIntegers', `The level "${wrong}" in the power levels is not an integer.`);
}

/** v10, v11: 9.2, v12: 10.2. */
function checkMapsHoldIntegers(content: JsonObject, rules: RoomVersionRules): Rejection | undefined {
  if (!rules.authorization.integerLevels) return undefined;
  const wrong = LEVEL_MAPS.find((name) => content[name] !== undefined && !holdsLevels(content[name], rules));
  return wrong === undefined
    ? undefined
    : reject('levelMapsNotIntegers', `"${wrong}" in the power levels is not an object of integers.`);
}

/** v1–v5: 10.1, v6–v9: 9.1, v10, v11: 9.3, v12: 10.3. */
function checkUsers(content: JsonObject, rules: RoomVersionRules): Rejection | undefined {
  const { users } = content;
  if (users === undefined) return undefined;
  if (!isJsonObject(users) || !holdsLevels(users, rules)) {
    return reject('levelsOfUsers', '"users" in the power levels is not an object of integers.');
  }
  const wrong = Object.keys(users).find((userId) => !looksLikeUserId(userId));
  return wrong === undefined
    ? undefined
    : reject('levelsOfUsers', `"users" in the power levels names ${quoted(wrong)}, which is not a user id.`);
}

/** The network asks no more of the keys of "users", in rooms where the letter would ask for a valid server name. */
function looksLikeUserId(text: string): boolean {
  return text.startsWith('@') && text.includes(':');
}

/** v12: 10.4. */
function checkNoCreatorListed(content: JsonObject, state: RoomState): Rejection | undefined {
  const { users } = content;
  if (!state.rules.authorization.privilegedCreators || !isJsonObject(users)) return undefined;
  const listed = creatorsOf(state.create, state.rules).find((creator) => Object.hasOwn(users, creator));
  return listed === undefined
    ? undefined
    : reject(
        'levelsListCreator',
        `"users" in the power levels names ${listed}, a creator of the room, whose power is not limited.`,
      );
}

/** What an event would change, and the power of who sends it. */
interface Change {
  readonly current: JsonObject;
  readonly proposed: JsonObject;
  readonly sender: string;
  readonly power: Level;
  readonly rules: RoomVersionRules;
}

/** v1–v5: 10.3, v6–v9: 9.3, v10, v11: 9.5, v12: 10.6. */
function checkNamedChanges({ current, proposed, sender, power, rules }: Change): Rejection | undefined {
  for (const name of NAMED_LEVELS) {
    const before = levelIn(current[name], rules);
    const after = levelIn(proposed[name], rules);
    if (before === after) continue;
    if (before !== undefined && before > power) {
      return reject(
        'levelAboveSender',
        `${sender} has power ${power} and cannot change "${name}", which is ${before}.`,
      );
    }
    if (after !== undefined && after > power) {
      return reject('levelRaisedAboveSender', `${sender} has power ${power} and cannot set "${name}" to ${after}.`);
    }
  }
  return undefined;
}

/** v1–v5: 10.4 and 10.5, v6–v9: 9.4 and 9.5, v10, v11: 9.6 and 9.7, v12: 10.7 and 10.8. */
function checkMapChanges({ current, proposed, sender, power, rules }: Change): Rejection | undefined {
  for (const map of LEVEL_MAPS) {
    if (map === 'notifications' && !rules.authorization.notificationLevels) continue;
    for (const [key, before, after] of changedEntries(current[map], proposed[map], rules)) {
      const entry = `${quoted(key)} in "${map}"`;
      if (before !== undefined && before > power) {
        return reject(
          'entryAboveSender',
          `${sender} has power ${power} and cannot change ${entry}, which is ${before}.`,
        );
      }
      if (after !== undefined && after > power) {
        return reject('entryRaisedAboveSender', `${sender} has power ${power} and cannot set ${entry} to ${after}.`);
      }
    }
  }
  return undefined;
}

/** v1–v5: 10.6 and 10.7, v6–v9: 9.6 and 9.7, v10, v11: 9.8 and 9.9, v12: 10.9 and 10.10. */
function checkUserChanges({ current, proposed, sender, power, rules }: Change): Rejection | undefined {
  for (const [userId, before, after] of changedEntries(current.users, proposed.users, rules)) {
    if (before !== undefined && userId !== sender && before >= power) {
      return reject(
        'userNotBelowSender',
        `${sender} has power ${power} and cannot change that of ${userId}, which is ${before}.`,
      );
    }
    if (after !== undefined && after > power) {
      return reject('userRaisedAboveSender', `${sender} has power ${power} and cannot give ${userId} ${after}.`);
    }
  }
  return undefined;
}

/** Entries that two maps of levels do not share: key, level before, level after; `undefined` where there is none. */
function* changedEntries(
  before: JsonObject[string],
  after: JsonObject[string],
  rules: RoomVersionRules,
): Generator<[key: string, before: Level | undefined, after: Level | undefined]> {
  const old = isJsonObject(before) ? before : {};
  const now = isJsonObject(after) ? after : {};
  for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const oldLevel = levelIn(ownValue(old, key), rules);
    const newLevel = levelIn(ownValue(now, key), rules);
    if (oldLevel !== newLevel) yield [key, oldLevel, newLevel];
  }
}

function holdsLevels(value: JsonObject[string], rules: RoomVersionRules): boolean {
  return isJsonObject(value) && Object.values(value).every((level) => levelIn(level, rules) !== undefined);
}
