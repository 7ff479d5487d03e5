/**
 * What push rules ask of a room as it was at an event: how many were in it, who may notify everybody, what the user was
 * called there. All of it follows from the version of the room's state before the event, so the answer for an event is the
 * same whenever it is asked.
 */
import type { Reader } from '#projections/engine/reader.ts';
import {
  type Event,
  eventAt,
  headOf,
  type Room,
  type StateSpan,
  stateEvent,
  stateKeysChangedBetween,
  stateSpan,
} from '#projections/rooms/queries.ts';
import { isSubscribed } from '#projections/thread-subscriptions/projection.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { type PowerLevels, powerLevelsOf } from '#protocol/power-levels.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import type { Position } from '#streams/event-log.ts';
import type { RuleSurroundings } from './conditions.ts';
import type { EventFacts } from './event-facts.ts';
import { compileLiteral, type Glob } from './glob.ts';

const MEMBER = 'm.room.member';
const POWER_LEVELS = 'm.room.power_levels';
const CREATE = 'm.room.create';
/** Changes of state that are gone back over to count the members of an earlier time; beyond it those of now are counted. */
const MAX_CHANGES_COUNTED = 10_000;

/** A state event's content over the versions in which it stands. */
interface Standing<T> {
  readonly from: number;
  readonly until: number;
  readonly value: T;
}

/** What of a room's past is the same for all its members. Remembers what was asked last, since events are looked at in order. */
export class RoomHistory {
  readonly room: Room;
  #members: { readonly version: number; readonly joined: number } | undefined;
  #levels: Standing<PowerLevels | undefined> | undefined;

  constructor(room: Room) {
    this.room = room;
  }

  /** Joined members at a version of the room's state. */
  memberCount(reader: Reader, version: number): number {
    if (this.#members?.version === version) return this.#members.joined;
    const known = this.#members ?? headCount(reader, this.room.id);
    const head = Math.abs(known.version - version) > MAX_CHANGES_COUNTED ? headCount(reader, this.room.id) : known;
    if (Math.abs(head.version - version) > MAX_CHANGES_COUNTED) return head.joined;
    const change = joinedBetween(
      reader,
      this.room.id,
      Math.min(head.version, version),
      Math.max(head.version, version),
    );
    const joined = version < head.version ? head.joined - change : head.joined + change;
    this.#members = { version, joined };
    return joined;
  }

  /** Whether a user has the power to notify everybody under a key, at a version of the room's state. */
  mayNotify(reader: Reader, version: number, userId: string, key: string): boolean {
    const known = this.#levels;
    if (known === undefined || version < known.from || version >= known.until) {
      const { content, from, until } = contentSpan(reader, this.room.id, POWER_LEVELS, '', version);
      this.#levels = { from, until, value: levelsOf(reader, this.room, content) };
    }
    const levels = this.#levels?.value;
    return levels !== undefined && levels.powerLevelOf(userId) >= levels.notificationLevel(key);
  }
}

/** What a user was called in a room, at each version of its state. */
export class DisplayNames {
  #standing: Standing<Glob | undefined> | undefined;

  at(reader: Reader, room: Position, userId: string, version: number): Glob | undefined {
    const known = this.#standing;
    if (known !== undefined && version >= known.from && version < known.until) return known.value;
    const { content, from, until } = contentSpan(reader, room, MEMBER, userId, version);
    const value = content && nameIn(content);
    this.#standing = { from, until, value };
    return value;
  }
}

/** The display name that a member event gives, compiled. */
export function nameIn({ displayname: name }: JsonObject): Glob | undefined {
  return typeof name === 'string' && name !== '' ? compileLiteral(name) : undefined;
}

/** The surroundings of one event for one user. */
export function surroundingsOf(
  reader: Reader,
  history: RoomHistory,
  names: DisplayNames,
  userId: string,
  { event }: EventFacts,
): RuleSurroundings {
  const version = event.stateVersion;
  return {
    memberCount: () => history.memberCount(reader, version),
    senderMayNotify: (key) => history.mayNotify(reader, version, event.sender, key),
    displayName: () => names.at(reader, history.room.id, userId, version),
    isSubscribedTo: (threadRoot) => isSubscribed(reader, userId, history.room.roomId, threadRoot),
  };
}

function headCount(reader: Reader, room: Position): { readonly version: number; readonly joined: number } {
  const head = headOf(reader, room);
  return { version: head?.stateVersion ?? 0, joined: head?.joined ?? 0 };
}

/** By how much the number of joined members grew after one version, up to another. */
function joinedBetween(reader: Reader, room: Position, after: number, upTo: number): number {
  if (after === upTo) return 0;
  let change = 0;
  for (const { type, stateKey } of stateKeysChangedBetween(reader, room, after, upTo)) {
    if (type !== MEMBER) continue;
    change += Number(isJoin(stateEvent(reader, room, MEMBER, stateKey, upTo)));
    change -= Number(isJoin(stateEvent(reader, room, MEMBER, stateKey, after)));
  }
  return change;
}

function isJoin(event: Event | undefined): boolean {
  if (event === undefined) return false;
  return contentOf(event).membership === 'join';
}

function contentOf(event: Event): JsonObject {
  const content = parseJson(event.contentJson);
  return isJsonObject(content) ? content : {};
}

interface ContentSpan extends Pick<StateSpan, 'from' | 'until'> {
  readonly content: JsonObject | undefined;
}

function contentSpan(reader: Reader, room: Position, type: string, stateKey: string, version: number): ContentSpan {
  const { position, from, until } = stateSpan(reader, room, type, stateKey, version);
  const event = position === undefined ? undefined : eventAt(reader, position);
  // What still stands may be replaced by the next change of the state; it is asked for again then.
  return { content: event && contentOf(event), from, until: Number.isFinite(until) ? until : version + 1 };
}

function levelsOf(reader: Reader, room: Room, content: JsonObject | undefined): PowerLevels | undefined {
  const rules = roomVersionRules(room.version);
  if (rules === undefined) return undefined;
  const create = stateEvent(reader, room.id, CREATE, '');
  return create && powerLevelsOf(content, { sender: create.sender, content: contentOf(create) }, rules);
}
