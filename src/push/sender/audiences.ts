/** Who of the users with pushers hears of what happens in a room. */
import type { Reader } from '#projections/engine/reader.ts';
import {
  type Event,
  eventAt,
  headOf,
  memberOf,
  membersOf,
  type Room,
  roomsOf,
  stateEventPosition,
} from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { membershipIn } from '#src/rooms/visibility.ts';
import { Lru } from '#src/sync/lru.ts';
import type { Position } from '#streams/event-log.ts';
import type { Glob } from '../glob.ts';
import { nameIn } from '../room-history.ts';

/** Members of rooms that are remembered, each counted for each room. */
const MAX_MEMBERS_REMEMBERED = 1_000_000;

/** A member of a room who has pushers. */
export interface Listener {
  /** Position of the member event that said so last, as far as it has been seen. */
  readonly memberEvent: Position;
  /** The display name that it gives; null for none, undefined where it has not been asked for. */
  name: Glob | null | undefined;
}

/** By user id. */
export type Audience = Map<string, Listener>;

/** The audiences of rooms; kept up to date by whoever follows the timelines. */
export class Audiences {
  readonly #reader: Reader;
  readonly #users: () => ReadonlyMap<string, unknown>;
  readonly #audiences = new Lru<Position, Audience>(MAX_MEMBERS_REMEMBERED, weightOf);

  /** `users` gives those who have pushers now, by user id. */
  constructor(reader: Reader, users: () => ReadonlyMap<string, unknown>) {
    this.#reader = reader;
    this.#users = users;
  }

  of(room: Room): Audience {
    const known = this.#audiences.get(room.id);
    if (known !== undefined) return known;
    const audience: Audience = new Map(this.#find(room));
    this.#audiences.set(room.id, audience);
    return audience;
  }

  /** Takes in a member event that has come onto the timeline. */
  note(audience: Audience, { stateKey, contentJson, position }: Event): void {
    if (stateKey === undefined || !this.#users().has(stateKey)) return;
    if (membershipIn(contentJson) !== 'join') audience.delete(stateKey);
    else audience.set(stateKey, listenerSince(position));
  }

  /** A user has pushers now, who had none; or none any more. */
  noteUser(userId: string): void {
    for (const { room, membership, event } of roomsOf(this.#reader, userId)) {
      const audience = this.#audiences.get(room);
      if (audience === undefined) continue;
      if (membership === 'join' && this.#users().has(userId)) audience.set(userId, listenerSince(event));
      else audience.delete(userId);
    }
  }

  *#find(room: Room): Generator<[string, Listener]> {
    const users = this.#users();
    if ((headOf(this.#reader, room.id)?.joined ?? 0) <= users.size) {
      for (const { userId, membership, event } of membersOf(this.#reader, room.id)) {
        if (membership === 'join' && users.has(userId)) yield [userId, listenerSince(event)];
      }
      return;
    }
    for (const userId of users.keys()) {
      const member = memberOf(this.#reader, room.id, userId);
      if (member?.membership === 'join') yield [userId, listenerSince(member.event)];
    }
  }
}

/** Whether a user was in the room when an event came. Only looked up for events that are older than what is known of the member. */
export function hears(reader: Reader, userId: string, { memberEvent }: Listener, event: Event): boolean {
  if (memberEvent < event.position) return true;
  const position = stateEventPosition(reader, event.room, 'm.room.member', userId, event.stateVersion);
  const member = position === undefined ? undefined : eventAt(reader, position);
  return member !== undefined && membershipIn(member.contentJson) === 'join';
}

/** A member as the member event at a position says. */
export function listenerSince(memberEvent: Position): Listener {
  return { memberEvent, name: undefined };
}

/** What a listener is called in the room. */
export function nameOf(reader: Reader, listener: Listener): Glob | undefined {
  if (listener.name === undefined) {
    const event = eventAt(reader, listener.memberEvent);
    const content = event && parseJson(event.contentJson);
    listener.name = (isJsonObject(content) ? nameIn(content) : undefined) ?? null;
  }
  return listener.name ?? undefined;
}

function weightOf({ size }: Audience): number {
  return size + 1;
}
