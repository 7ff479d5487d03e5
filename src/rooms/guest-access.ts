/** Guests come only into rooms that admit them, and go when that ends. https://spec.matrix.org/v1.19/client-server-api/#guest-access */
import { guestUsers, hasGuests, isGuestUser } from '#projections/accounts/queries.ts';
import type { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import {
  eventAt,
  findRoom,
  membershipOf,
  roomById,
  roomsOf,
  stateEventPosition,
  userRoomOf,
} from '#projections/rooms/queries.ts';
import { serverNameOf } from '#protocol/identifiers.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Logger } from '#src/log/logger.ts';
import { Lru } from '#src/sync/lru.ts';
import type { RemoteSpaces } from './remote-spaces.ts';
import type { Rooms } from './rooms.ts';

const TYPE = 'm.room.guest_access';
const ROOM_TOPIC = 'room:';
/** Rooms of which it is remembered which event rules over guests. */
const MAX_REMEMBERED_ROOMS = 10_000;

/** @throws {MatrixError} M_GUEST_ACCESS_FORBIDDEN if the user is a guest of this server, and the room admits none. */
export function requireGuestAccess(
  { reader, rooms }: { readonly reader: Reader; readonly rooms: Rooms },
  roomId: string,
  userId: string,
): void {
  if (!isGuestUser(reader, userId)) return;
  if (rooms.state(roomId, TYPE, '')?.content['guest_access'] === 'can_join') return;
  throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'This room admits no guests.');
}

/**
 * The same for a room in which this server is not: one of those that are says whether it admits guests.
 * @param via servers that may be in the room; an invite adds its sender's.
 * @throws {MatrixError} M_GUEST_ACCESS_FORBIDDEN, also if nobody says anything.
 */
export async function requireGuestAccessElsewhere(
  { reader, remoteSpaces }: { readonly reader: Reader; readonly remoteSpaces: Pick<RemoteSpaces, 'room'> },
  roomId: string,
  userId: string,
  via: readonly string[],
): Promise<void> {
  if (!isGuestUser(reader, userId)) return;
  const room = findRoom(reader, roomId);
  const standing = room && userRoomOf(reader, userId, room.id);
  const inviter = standing?.membership === 'invite' ? eventAt(reader, standing.event)?.sender : undefined;
  const server = inviter === undefined ? undefined : serverNameOf(inviter);
  const told = await remoteSpaces.room(roomId, server === undefined ? via : [server, ...via], false, true);
  if (told?.summary.guest_can_join === true) return;
  throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'This room admits no guests.');
}

/** Stands for no event: no position is less than 0. */
const NONE = -1;

export interface GuestAccessOptions {
  readonly engine: Pick<ProjectionEngine, 'onAdvance'>;
  readonly reader: Reader;
  readonly rooms: Rooms;
  readonly logger: Logger;
}

/** Takes the guests of this server out of rooms that do not admit guests any more, whoever says so. */
export class GuestAccess {
  readonly #options: GuestAccessOptions;
  /** Internal id of a room → position of the event that was looked at last, or {@link NONE}. */
  readonly #seen = new Lru<number, number>(MAX_REMEMBERED_ROOMS);
  /** Rooms that are to be looked through: no more than there are rooms that changed since the last look. */
  readonly #waiting = new Set<string>();
  #stopListening: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: GuestAccessOptions) {
    this.#options = options;
  }

  /** Begins to watch, and looks through all rooms of guests: the server may have stopped before it was done. */
  start(): void {
    const { engine, reader } = this.#options;
    this.#stopListening = engine.onAdvance((_frontier, touched) => this.#look(touched));
    const rooms = new Set<number>();
    for (const guest of guestUsers(reader)) {
      for (const { room, membership } of roomsOf(reader, guest)) if (membership === 'join') rooms.add(room);
    }
    for (const id of rooms) {
      const room = roomById(reader, id);
      if (room && !this.#admitsGuests(id)) this.#waiting.add(room.roomId);
    }
    this.#wake();
  }

  /** Resolves when nobody is left who has to go. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Stops watching; whoever has still to go goes after the next start. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    this.#waiting.clear();
    await this.settled();
  }

  #look(touched: ReadonlySet<string>): void {
    const { reader } = this.#options;
    if (!hasGuests(reader)) return;
    for (const topic of touched) {
      if (!topic.startsWith(ROOM_TOPIC)) continue;
      const roomId = topic.slice(ROOM_TOPIC.length);
      const room = findRoom(reader, roomId);
      if (room && !this.#admitsGuests(room.id)) this.#waiting.add(roomId);
    }
    this.#wake();
  }

  /** False once for each event that ends it. */
  #admitsGuests(room: number): boolean {
    const { reader } = this.#options;
    const position = stateEventPosition(reader, room, TYPE, '');
    if (this.#seen.get(room) === (position ?? NONE)) return true;
    this.#seen.set(room, position ?? NONE);
    const event = position === undefined ? undefined : eventAt(reader, position);
    const content: unknown = parseJson(event?.contentJson ?? '{}');
    return isJsonObject(content) && content['guest_access'] === 'can_join';
  }

  #wake(): void {
    if (this.#waiting.size === 0) return;
    this.#running ??= this.#workThrough().finally(() => {
      this.#running = undefined;
    });
  }

  async #workThrough(): Promise<void> {
    for (const roomId of this.#waiting) {
      this.#waiting.delete(roomId);
      await this.#takeGuestsOut(roomId);
    }
  }

  async #takeGuestsOut(roomId: string): Promise<void> {
    const { reader, rooms, logger } = this.#options;
    const room = findRoom(reader, roomId);
    for (const guest of room ? [...guestUsers(reader)] : []) {
      if (room === undefined || membershipOf(reader, room.id, guest) !== 'join') continue;
      try {
        const content = { membership: 'leave', reason: 'This room admits no guests any more.' };
        await rooms.send(roomId, { sender: guest, type: 'm.room.member', stateKey: guest, content });
      } catch (error) {
        // The log takes no more, or the room forbids it: the next start tries again.
        logger.warn({ err: error, roomId }, 'A guest could not be taken out of a room that admits none any more.');
      }
    }
  }
}
