/** The rooms of users, that with the newest activity first, kept up to date by what has changed. */
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, headOf, roomById, roomsOf, userRoomOf } from '#projections/rooms/queries.ts';
import type { UserRoomRow } from '#projections/rooms/tables.ts';
import { departureOf } from '#src/rooms/visibility.ts';
import { Lru } from '#src/sync/lru.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { RecentChanges } from '#src/sync/recent-changes.ts';
import type { Position } from '#streams/event-log.ts';

/** Rooms that are remembered, counted once for each user that has them: some 300 bytes each. */
const MAX_ROOMS_REMEMBERED = 200_000;

/** A room of one user. */
export interface ListedRoom {
  /** Internal id. */
  readonly id: Position;
  readonly roomId: string;
  readonly row: UserRoomRow;
  /** Where something happened last that the user is told of: greater is later. */
  readonly activity: Position;
  /** Who made the user's membership what it is; only of one that is not `join`. */
  readonly by: string | undefined;
  /** Whether the user was removed from a room that they had been in. */
  readonly isRemoved: boolean;
  /** What filters have found out about it. */
  readonly facts: RoomFacts;
}

/** What filters ask; filled when they do. */
export interface RoomFacts {
  isEncrypted?: boolean;
  /** Null for none. */
  type?: string | null;
  /** In lower case. */
  name?: string;
}

/** All rooms of a user at one moment. */
export interface RoomList {
  readonly byId: ReadonlyMap<Position, ListedRoom>;
  /** Newest activity first; forgotten rooms are among them, since some device may not know yet that they were left. */
  readonly sorted: readonly ListedRoom[];
  /** Of the account data of rooms and of `m.direct`: what filters have found out, kept here since it is as long-lived. */
  readonly marks: RoomMarks;
}

/** What a user has said of their rooms. */
export interface RoomMarks {
  /** Up to where the user's account data was looked at. */
  checkedAt?: Position;
  /** Room ids of direct chats. */
  direct?: ReadonlySet<string>;
  readonly tags: Map<string, ReadonlySet<string>>;
}

interface Remembered {
  readonly byId: Map<Position, ListedRoom>;
  sorted: readonly ListedRoom[];
  readonly marks: RoomMarks;
  checkedAt: Position;
}

export class RoomLists {
  readonly #recent: RecentChanges;
  readonly #remembered = new Lru<string, Remembered>(MAX_ROOMS_REMEMBERED, ({ byId }) => byId.size + 1);

  constructor(recent: RecentChanges) {
    this.#recent = recent;
  }

  /** The rooms of a user at the moment when the promise resolves. */
  async of(reader: Reader, userId: string): Promise<RoomList> {
    for (;;) {
      const known = this.#remembered.get(userId);
      if (known !== undefined && this.#catchUp(reader, userId, known)) return known;
      const startedAt = reader.frontier;
      const byId = await readRooms(reader, userId);
      this.#remembered.set(userId, { byId, sorted: sortedOf(byId), marks: { tags: new Map() }, checkedAt: startedAt });
      // What alone is heavier than the bound is not remembered.
      if (this.#remembered.get(userId) === undefined)
        return { byId, sorted: sortedOf(byId), marks: { tags: new Map() } };
    }
  }

  /** False where what happened meanwhile is too long ago to tell. */
  #catchUp(reader: Reader, userId: string, known: Remembered): boolean {
    const { frontier } = reader;
    if (known.checkedAt === frontier) return true;
    const rooms = this.#recent.roomsSince(reader, known.checkedAt);
    const memberships = this.#recent.membershipsSince(reader, known.checkedAt);
    if (rooms === undefined || memberships === undefined) return false;
    const changed = new Set<Position>();
    for (const room of rooms) if (known.byId.has(room)) changed.add(room);
    for (const { room, member } of memberships) if (member === userId) changed.add(room);
    const size = known.byId.size;
    for (const room of changed) {
      const row = userRoomOf(reader, userId, room);
      const listed = row && listedRoom(reader, userId, room, row);
      if (listed === undefined) known.byId.delete(room);
      else known.byId.set(room, listed);
    }
    if (changed.size > 0) known.sorted = sortedOf(known.byId);
    known.checkedAt = frontier;
    // A list is weighed when it is put there.
    if (known.byId.size !== size) this.#remembered.set(userId, known);
    return true;
  }
}

async function readRooms(reader: Reader, userId: string): Promise<Map<Position, ListedRoom>> {
  const byId = new Map<Position, ListedRoom>();
  // The rows are read in one go: there is no going on in the middle of them after a pause.
  for (const { room, ...row } of [...roomsOf(reader, userId)]) {
    const listed = listedRoom(reader, userId, room, row);
    if (listed !== undefined) byId.set(room, listed);
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  return byId;
}

function listedRoom(reader: Reader, userId: string, id: Position, row: UserRoomRow): ListedRoom | undefined {
  const room = roomById(reader, id);
  if (room === undefined) return undefined;
  const { roomId } = room;
  if (row.membership === 'join') {
    const activity = headOf(reader, id)?.latest ?? row.since;
    return { id, roomId, row, activity, by: undefined, isRemoved: false, facts: {} };
  }
  const by = eventAt(reader, row.event)?.sender;
  const isOut = row.membership !== 'invite' && row.membership !== 'knock';
  const isRemoved = isOut && by !== userId && departureOf(reader, id, userId) !== undefined;
  return { id, roomId, row, activity: row.since, by, isRemoved, facts: {} };
}

function sortedOf(byId: ReadonlyMap<Position, ListedRoom>): ListedRoom[] {
  return [...byId.values()].sort((a, b) => b.activity - a.activity || b.id - a.id);
}
