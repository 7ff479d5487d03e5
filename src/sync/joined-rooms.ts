import type { Reader } from '#projections/engine/reader.ts';
import { type Room, roomById, roomsOf } from '#projections/rooms/queries.ts';
import type { Position } from '#streams/event-log.ts';
import { Lru } from './lru.ts';
import type { RecentChanges } from './recent-changes.ts';

/** Users whose joined rooms are remembered. */
const MAX_USERS_REMEMBERED = 10_000;
/** Rooms of a user beyond which they are not remembered, but read each time: it bounds the memory. */
const MAX_ROOMS_REMEMBERED = 1000;

/** The joined rooms of users, remembered for as long as a user's memberships stay as they are. */
export class JoinedRooms {
  readonly #recent: RecentChanges;
  readonly #remembered = new Lru<string, { readonly rooms: readonly Room[]; checkedAt: Position }>(
    MAX_USERS_REMEMBERED,
  );

  constructor(recent: RecentChanges) {
    this.#recent = recent;
  }

  /** The rooms that a user is in now. */
  of(reader: Reader, userId: string): readonly Room[] {
    const { frontier } = reader;
    const known = this.#remembered.get(userId);
    if (known !== undefined && this.#recent.keptMemberships(reader, userId, known.checkedAt)) {
      known.checkedAt = frontier;
      return known.rooms;
    }
    const rooms: Room[] = [];
    for (const { room: id, membership } of roomsOf(reader, userId)) {
      const room = membership === 'join' ? roomById(reader, id) : undefined;
      if (room !== undefined) rooms.push(room);
    }
    if (rooms.length <= MAX_ROOMS_REMEMBERED) this.#remembered.set(userId, { rooms, checkedAt: frontier });
    else this.#remembered.delete(userId);
    return rooms;
  }
}
