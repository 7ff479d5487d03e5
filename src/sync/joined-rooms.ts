import type { Reader } from '#projections/engine/reader.ts';
import { type Room, roomById, roomsOf } from '#projections/rooms/queries.ts';
import type { Position } from '#streams/event-log.ts';
import { Lru } from './lru.ts';
import { sharedPacer } from './pacer.ts';
import type { RecentChanges } from './recent-changes.ts';

/** Rooms that are remembered, counted once for each user that is in them: some 200 bytes each. */
const MAX_ROOMS_REMEMBERED = 100_000;

/** A room that a user is in. */
export type JoinedRoom = Pick<Room, 'id' | 'roomId'>;

interface Remembered {
  readonly rooms: readonly JoinedRoom[];
  checkedAt: Position;
}

/** The joined rooms of users, remembered for as long as a user's memberships stay as they are. */
export class JoinedRooms {
  readonly #recent: RecentChanges;
  readonly #remembered = new Lru<string, Remembered>(MAX_ROOMS_REMEMBERED, ({ rooms }) => rooms.length + 1);

  constructor(recent: RecentChanges) {
    this.#recent = recent;
  }

  /** The rooms that a user is in at the moment when the promise resolves. */
  async of(reader: Reader, userId: string): Promise<readonly JoinedRoom[]> {
    const known = this.#remembered.get(userId);
    if (known !== undefined && this.#recent.keptMemberships(reader, userId, known.checkedAt)) {
      known.checkedAt = reader.frontier;
      return known.rooms;
    }
    for (;;) {
      const startedAt = reader.frontier;
      const rooms = await readRooms(reader, userId);
      if (reader.frontier !== startedAt && !this.#recent.keptMemberships(reader, userId, startedAt)) continue;
      this.#remembered.set(userId, { rooms, checkedAt: startedAt });
      return rooms;
    }
  }
}

async function readRooms(reader: Reader, userId: string): Promise<JoinedRoom[]> {
  const rooms: JoinedRoom[] = [];
  // The rows are read in one go: there is no going on in the middle of them after a pause.
  const ids = [...roomsOf(reader, userId)].filter(({ membership }) => membership === 'join').map(({ room }) => room);
  for (const id of ids) {
    const room = roomById(reader, id);
    if (room !== undefined) rooms.push({ id, roomId: room.roomId });
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  return rooms;
}
