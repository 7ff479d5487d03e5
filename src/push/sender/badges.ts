/** How much is unread for users in all of their rooms together: the number on the icon of an app. */
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, roomById, roomsOf } from '#projections/rooms/queries.ts';
import { KeyedLock } from '#src/commands/keyed-lock.ts';
import { Lru } from '#src/sync/lru.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';
import type { PushProfile, PushProfiles } from '../push-profiles.ts';
import type { UnreadCounts } from '../unread.ts';

/** Rooms that are remembered, counted once for each user that is in them. */
const MAX_ROOMS_REMEMBERED = 1_000_000;
const BASE_WEIGHT = 4;

interface Badge {
  readonly profile: PushProfile;
  /** Rooms with something unread. */
  readonly rooms: Map<Position, number>;
  /** Rooms in which something has happened since. */
  readonly stale: Set<Position>;
  readonly roomCount: number;
}

export interface BadgesOptions {
  readonly reader: Reader;
  readonly profiles: PushProfiles;
  readonly unread: UnreadCounts;
}

/** Counts a user's rooms once, and then again only those in which something happened, as whoever follows the log says. */
export class Badges {
  readonly #options: BadgesOptions;
  readonly #badges = new Lru<string, Badge>(MAX_ROOMS_REMEMBERED, ({ roomCount }) => BASE_WEIGHT + roomCount);

  readonly #lock = new KeyedLock();

  constructor(options: BadgesOptions) {
    this.#options = options;
  }

  /** Something happened in a room that may change what is unread of it for a user. */
  touch(userId: string, room: Position): void {
    this.#badges.get(userId)?.stale.add(room);
  }

  /** The user's rooms are other ones than before. */
  forget(userId: string): void {
    this.#badges.delete(userId);
  }

  /** Unread messages in the user's rooms; an invitation is one. */
  async of(userId: string): Promise<number> {
    const badge = await this.#lock.run(userId, () => this.#upToDate(userId));
    let sum = 0;
    for (const count of badge.rooms.values()) sum += count;
    return sum;
  }

  async #upToDate(userId: string): Promise<Badge> {
    const { reader, profiles } = this.#options;
    const profile = profiles.of(reader, userId);
    const known = this.#badges.get(userId);
    if (known?.profile !== profile) return this.#count(userId, profile);
    for (const room of [...known.stale]) {
      known.stale.delete(room);
      await this.#countRoom(known, userId, room);
    }
    return known;
  }

  async #count(userId: string, profile: PushProfile): Promise<Badge> {
    const { reader } = this.#options;
    const rows = [...roomsOf(reader, userId)];
    const badge: Badge = { profile, rooms: new Map(), stale: new Set(), roomCount: rows.length };
    // Known before it is complete, so that what happens meanwhile is not missed.
    this.#badges.set(userId, badge);
    for (const { room, membership, event } of rows) {
      if (membership === 'join') await this.#countRoom(badge, userId, room);
      else if (membership === 'invite' && !profile.ignored.has(eventAt(reader, event)?.sender ?? '')) {
        badge.rooms.set(room, 1);
      }
    }
    return badge;
  }

  async #countRoom(badge: Badge, userId: string, id: Position): Promise<void> {
    const { reader, unread } = this.#options;
    const room = roomById(reader, id);
    const count = room === undefined ? 0 : (await unread.of(reader, room, userId, sharedPacer)).total.notifications;
    if (count === 0) badge.rooms.delete(id);
    else badge.rooms.set(id, count);
  }
}
