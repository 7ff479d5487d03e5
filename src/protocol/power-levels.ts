import { isJsonObject, ownValue } from './json-object.ts';
import { MAX_INTEGER_DIGITS, SpelledNumber } from './loose-numbers.ts';
import type { JsonObject, JsonValue } from './pdu.ts';
import type { RoomVersionRules } from './room-version.ts';

/**
 * A power level: a number where that is exact, else a `bigint`. The two compare with `<` and its like; two levels are the same if
 * `===` says so.
 */
export type Level = number | bigint;

/** Levels that a power levels event gives by name at the top of its content. */
export type NamedLevel = 'users_default' | 'events_default' | 'state_default' | 'ban' | 'redact' | 'kick' | 'invite';

/** What the named levels are where nothing is said. Source: server-server API, "Definitions"; `m.room.power_levels`. */
export const DEFAULT_LEVELS: Readonly<Record<NamedLevel, number>> = {
  users_default: 0,
  events_default: 0,
  state_default: 50,
  ban: 50,
  redact: 50,
  kick: 50,
  invite: 0,
};

/** Power of the creator while a room has no power levels event, where creators are not privileged for ever. */
export const CREATOR_LEVEL_WITHOUT_EVENT = 100;

/** Level for notifying under a key that the power levels do not mention. */
export const DEFAULT_NOTIFICATION_LEVEL = 50;

/** What is read of the create event to tell who has power. */
export interface CreateEventView {
  readonly sender: string;
  readonly content: JsonObject;
}

/** Who may do what in a room at one moment. */
export interface PowerLevels {
  /** The creators, if the room version gives them infinite power; empty otherwise. */
  readonly privilegedCreators: ReadonlySet<string>;
  /** A user's power; `Infinity` for privileged creators. */
  powerLevelOf(userId: string): Level;
  /** The power it takes to send an event of a type, as a state event or as a message. */
  requiredLevel(type: string, isState: boolean): Level;
  /** A level that the event names, or its default. */
  named(level: NamedLevel): Level;
  readonly invite: Level;
  readonly kick: Level;
  readonly ban: Level;
  readonly redact: Level;
  /** The power it takes to notify everybody under a key (`room` for @room). */
  notificationLevel(key: string): Level;
}

/**
 * Reads the power levels of a room.
 * Source: client-server API, `m.room.power_levels`.
 *
 * @param content of the current `m.room.power_levels` event; `undefined` if the room has none.
 * @param create the room's create event.
 */
export function powerLevelsOf(
  content: JsonObject | undefined,
  create: CreateEventView,
  rules: RoomVersionRules,
): PowerLevels {
  return new ContentPowerLevels(content, create, rules);
}

/**
 * Everyone whom the create event makes a creator of the room: its sender and, where allowed, those it adds.
 * Source: rooms/v12, "Authorisation rules".
 */
export function creatorsOf(create: CreateEventView, rules: RoomVersionRules): string[] {
  const added = rules.authorization.additionalCreators ? create.content.additional_creators : undefined;
  const addedIds = Array.isArray(added) ? added.filter((userId) => typeof userId === 'string') : [];
  return [...new Set([create.sender, ...addedIds])];
}

/**
 * Who made the room, as its create event says; `undefined` if it should say and does not.
 * Source: rooms/v11, "Remove the `creator` property of `m.room.create` events".
 */
export function creatorOf(create: CreateEventView, rules: RoomVersionRules): string | undefined {
  if (!rules.authorization.creatorInContent) return create.sender;
  const { creator } = create.content;
  return typeof creator === 'string' ? creator : undefined;
}

/**
 * The level that a value stands for, or `undefined` if it is none: an integer (its range is a question of form), and
 * where the room version is not strict (before 10) also a text, a fraction or a truth value.
 * Source: rooms/v10, "Values in `m.room.power_levels` events must be integers"; rooms/v1, "Deprecated event content schemas".
 */
export function levelIn(value: JsonValue | undefined, rules: RoomVersionRules): Level | undefined {
  if (Number.isSafeInteger(value)) return value as number;
  if (value instanceof SpelledNumber) return spelledLevel(value, rules);
  if (Number.isInteger(value)) return BigInt(value as number);
  return rules.authorization.integerLevels ? undefined : looseLevel(value);
}

/** A number of which it is known how it was written: `50.0` is a fraction even so. */
function spelledLevel({ text, value, isFloat }: SpelledNumber, rules: RoomVersionRules): Level | undefined {
  if (!isFloat) return exactLevel(BigInt(text));
  return rules.authorization.integerLevels ? undefined : truncated(value);
}

/** Fractions are cut towards zero, as Python's `int` does. */
function truncated(value: number): Level | undefined {
  return Number.isFinite(value) ? exactLevel(BigInt(Math.trunc(value))) : undefined;
}

/** In the one form that a level has, so that levels can be told apart with `===`. */
function exactLevel(level: bigint): Level {
  const rounded = Number(level);
  return Number.isSafeInteger(rounded) ? rounded : level;
}

/**
 * A decimal integer. Underscores between digits, and digits of other scripts, are beyond the specification; Synapse takes
 * them as Python does.
 */
const INTEGER_TEXT = /^\s*([+-]?)(\p{Nd}+(?:_\p{Nd}+)*)\s*$/u;
const DIGIT = /^\p{Nd}$/u;

/** Source: rooms/v1, "`m.room.power_levels` events accept values as strings" and "… as floats". */
function looseLevel(value: JsonValue | undefined): Level | undefined {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'number') return truncated(value);
  const match = typeof value === 'string' ? INTEGER_TEXT.exec(value) : null;
  if (match === null) return undefined;
  const digits = [...(match[2] as string).replaceAll('_', '')];
  if (digits.length > MAX_INTEGER_DIGITS) return undefined;
  const size = BigInt(digits.map(digitValue).join(''));
  return exactLevel(match[1] === '-' ? -size : size);
}

/** Unicode has the digits of every script in a row from zero to nine. */
function digitValue(digit: string): number {
  const code = digit.codePointAt(0) as number;
  let before = 0;
  while (DIGIT.test(String.fromCodePoint(code - before - 1))) before += 1;
  return before % 10;
}

const NO_CREATORS: ReadonlySet<string> = new Set();
const EMPTY: JsonObject = {};

class ContentPowerLevels implements PowerLevels {
  readonly #create: CreateEventView;
  readonly #content: JsonObject;
  readonly #users: JsonObject;
  readonly #events: JsonObject;
  readonly #rules: RoomVersionRules;
  /** Has {@link CREATOR_LEVEL_WITHOUT_EVENT}, if anybody. */
  readonly #defaultAdmin: string | undefined;

  constructor(content: JsonObject | undefined, create: CreateEventView, rules: RoomVersionRules) {
    const privileged = rules.authorization.privilegedCreators;
    this.#create = create;
    this.#rules = rules;
    this.#defaultAdmin = content === undefined && !privileged ? creatorOf(create, rules) : undefined;
    this.#content = content ?? EMPTY;
    this.#users = objectIn(this.#content, 'users');
    this.#events = objectIn(this.#content, 'events');
  }

  get privilegedCreators(): ReadonlySet<string> {
    return this.#rules.authorization.privilegedCreators ? new Set(creatorsOf(this.#create, this.#rules)) : NO_CREATORS;
  }

  powerLevelOf(userId: string): Level {
    if (this.#isPrivileged(userId)) return Number.POSITIVE_INFINITY;
    if (userId === this.#defaultAdmin) return CREATOR_LEVEL_WITHOUT_EVENT;
    return levelIn(ownValue(this.#users, userId), this.#rules) ?? this.named('users_default');
  }

  #isPrivileged(userId: string): boolean {
    if (!this.#rules.authorization.privilegedCreators) return false;
    if (userId === this.#create.sender) return true;
    return this.#create.content.additional_creators !== undefined && this.privilegedCreators.has(userId);
  }

  requiredLevel(type: string, isState: boolean): Level {
    return (
      levelIn(ownValue(this.#events, type), this.#rules) ?? this.named(isState ? 'state_default' : 'events_default')
    );
  }

  named(level: NamedLevel): Level {
    return levelIn(this.#content[level], this.#rules) ?? DEFAULT_LEVELS[level];
  }

  get invite(): Level {
    return this.named('invite');
  }

  get kick(): Level {
    return this.named('kick');
  }

  get ban(): Level {
    return this.named('ban');
  }

  get redact(): Level {
    return this.named('redact');
  }

  notificationLevel(key: string): Level {
    const level = levelIn(ownValue(objectIn(this.#content, 'notifications'), key), this.#rules);
    return level ?? DEFAULT_NOTIFICATION_LEVEL;
  }
}

function objectIn(content: JsonObject, key: string): JsonObject {
  const value = content[key];
  return isJsonObject(value) ? value : EMPTY;
}
