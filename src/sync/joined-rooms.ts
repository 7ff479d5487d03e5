import type { Reader } from '#projections/engine/reader.ts';
import { type Room, roomById, roomsOf } from '#projections/rooms/queries.ts';
import type { Position } from '#streams/event-log.ts';
import { Lru } from './lru.ts';
import { sharedPacer } from './pacer.ts';
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

  /** The rooms that a user is in at the moment when the promise resolves. */
  async of(reader: Reader, userId: string): Promise<readonly Room[]> {
    const known = this.#remembered.get(userId);
    if (known !== undefined && this.#recent.keptMemberships(reader, userId, known.checkedAt)) {
      known.checkedAt = reader.frontier;
      return known.rooms;
    }
    for (;;) {
      const startedAt = reader.frontier;
      const rooms = await readRooms(reader, userId);
      if (reader.frontier !== startedAt && !this.#recent.keptMemberships(reader, userId, startedAt)) continue;
      if (rooms.length <= MAX_ROOMS_REMEMBERED) this.#remembered.set(userId, { rooms, checkedAt: startedAt });
      else this.#remembered.delete(userId);
      return rooms;
    }
  }
}

async function readRooms(reader: Reader, userId: string): Promise<Room[]> {
  const rooms: Room[] = [];
  // The rows are read in one go: there is no going on in the middle of them after a pause.
  const ids = [...roomsOf(reader, userId)].filter(({ membership }) => membership === 'join').map(({ room }) => room);
  for (const id of ids) {
    const room = roomById(reader, id);
    if (room !== undefined) rooms.push(room);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  return rooms;
}
