import { isUserId } from '../identifiers.ts';
import { isJsonObject, ownValue } from '../json-object.ts';
import type { JsonObject } from '../pdu.ts';
import { creatorsOf, DEFAULT_LEVELS, integerLevel } from '../power-levels.ts';
import type { RoomState } from './room-state.ts';
import { type AuthInput, quoted, type Rejection, reject } from './types.ts';

const NAMED_LEVELS = Object.keys(DEFAULT_LEVELS);
const LEVEL_MAPS = ['events', 'notifications'] as const;

/** The rules of `m.room.power_levels` events. v11: 9, v12: 10. */
export function checkPowerLevels(event: AuthInput, state: RoomState): Rejection | undefined {
  const malformed =
    checkNamedAreIntegers(event.content) ??
    checkMapsHoldIntegers(event.content) ??
    checkUsers(event.content) ??
    checkNoCreatorListed(event.content, state);
  if (malformed !== undefined) return malformed;
  // v11: 9.4, v12: 10.5. Whoever may send the first one may send any.
  const current = state.powerLevelsContent();
  if (current === undefined) return undefined;
  const change: Change = {
    current,
    proposed: event.content,
    sender: event.sender,
    power: state.powerLevels().powerLevelOf(event.sender),
  };
  return checkNamedChanges(change) ?? checkMapChanges(change) ?? checkUserChanges(change);
}

/** v11: 9.1, v12: 10.1. */
function checkNamedAreIntegers(content: JsonObject): Rejection | undefined {
  const wrong = NAMED_LEVELS.find((name) => content[name] !== undefined && integerLevel(content[name]) === undefined);
  return wrong === undefined
    ? undefined
    : reject('levelsNotIntegers', `The level "${wrong}" in the power levels is not an integer.`);
}

/** v11: 9.2, v12: 10.2. */
function checkMapsHoldIntegers(content: JsonObject): Rejection | undefined {
  const wrong = LEVEL_MAPS.find((name) => content[name] !== undefined && !holdsIntegers(content[name]));
  return wrong === undefined
    ? undefined
    : reject('levelMapsNotIntegers', `"${wrong}" in the power levels is not an object of integers.`);
}

/** v11: 9.3, v12: 10.3. */
function checkUsers(content: JsonObject): Rejection | undefined {
  const { users } = content;
  if (users === undefined) return undefined;
  if (!isJsonObject(users) || !holdsIntegers(users)) {
    return reject('levelsOfUsers', '"users" in the power levels is not an object of integers.');
  }
  const wrong = Object.keys(users).find((userId) => !isUserId(userId));
  return wrong === undefined
    ? undefined
    : reject('levelsOfUsers', `"users" in the power levels names ${quoted(wrong)}, which is not a user id.`);
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
  readonly power: number;
}

/** v11: 9.5, v12: 10.6. */
function checkNamedChanges({ current, proposed, sender, power }: Change): Rejection | undefined {
  for (const name of NAMED_LEVELS) {
    const before = integerLevel(current[name]);
    const after = integerLevel(proposed[name]);
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

/** v11: 9.6 and 9.7, v12: 10.7 and 10.8. */
function checkMapChanges({ current, proposed, sender, power }: Change): Rejection | undefined {
  for (const map of LEVEL_MAPS) {
    for (const [key, before, after] of changedEntries(current[map], proposed[map])) {
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

/** v11: 9.8 and 9.9, v12: 10.9 and 10.10. */
function checkUserChanges({ current, proposed, sender, power }: Change): Rejection | undefined {
  for (const [userId, before, after] of changedEntries(current.users, proposed.users)) {
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
): Generator<[key: string, before: number | undefined, after: number | undefined]> {
  const old = isJsonObject(before) ? before : {};
  const now = isJsonObject(after) ? after : {};
  for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const oldLevel = integerLevel(ownValue(old, key));
    const newLevel = integerLevel(ownValue(now, key));
    if (oldLevel !== newLevel) yield [key, oldLevel, newLevel];
  }
}

function holdsIntegers(value: JsonObject[string]): boolean {
  return isJsonObject(value) && Object.values(value).every((level) => integerLevel(level) !== undefined);
}
