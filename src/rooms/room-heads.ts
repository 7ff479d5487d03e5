/** Which heads of rooms are in memory. */
import type { Reader } from '#projections/engine/reader.ts';
import { countSince, partialRoom } from '#projections/rooms/partial.ts';
import { authEventAt, findRoom, headOf, referenceHashOf, stateEventPosition } from '#projections/rooms/queries.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { MatrixError } from '#src/http/errors.ts';
import type { Position } from '#streams/event-log.ts';
import { RoomHead } from './room-head.ts';

/** Rooms whose heads stay in memory; the least recently used idle one goes first. */
export const MAX_ACTIVE_ROOMS = 10_000;
/** Events of ours that a room may have before all its members are known: each is written again then. */
export const MAX_SENT_BEFORE_MEMBERS = 1000;

export class RoomHeads {
  readonly #reader: Reader;
  readonly #heads = new Map<string, RoomHead>();
  /** For rooms of which not all members are known: how much may still be sent before they are. */
  readonly #leftBeforeMembers = new WeakMap<RoomHead, number>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /**
   * The head of a room, from memory or from what is committed.
   * @throws {MatrixError} M_NOT_FOUND for an unknown room, M_UNSUPPORTED_ROOM_VERSION.
   */
  of(roomId: string): RoomHead {
    const known = this.#heads.get(roomId);
    if (known) {
      this.#heads.delete(roomId);
      this.#heads.set(roomId, known);
      return known;
    }
    const head = this.#load(roomId);
    this.#letGoOfOldest();
    this.#heads.set(roomId, head);
    return head;
  }

  /** The head of a room if it is in memory. */
  inMemory(roomId: string): RoomHead | undefined {
    return this.#heads.get(roomId);
  }

  /** Forgets the head of a room: the next who asks gets one made of what is committed. */
  drop(roomId: string): void {
    this.#heads.delete(roomId);
  }

  /** Forgets all heads of which nothing is on its way to the disk. */
  dropIdle(): void {
    for (const [roomId, head] of this.#heads) if (head.pendingAppends === 0) this.#heads.delete(roomId);
  }

  /** How many events of ours a room may still have before all its members are known; undefined where they are. */
  sendsBeforeMembers(head: RoomHead): number | undefined {
    return this.#leftBeforeMembers.get(head);
  }

  /** Takes note that one of these is sent. */
  countSendBeforeMembers(head: RoomHead): void {
    const left = this.#leftBeforeMembers.get(head);
    if (left !== undefined) this.#leftBeforeMembers.set(head, left - 1);
  }

  #load(roomId: string): RoomHead {
    const reader = this.#reader;
    const room = findRoom(reader, roomId);
    if (room === undefined) throw new MatrixError('M_NOT_FOUND', 'This server does not know the room.');
    const rules = roomVersionRules(room.version);
    const at = headOf(reader, room.id);
    if (rules === undefined || at === undefined) {
      throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', `Room version ${room.version} is not supported.`);
    }
    const head = new RoomHead(
      { roomId, rules, stream: room.stream },
      at,
      (type, stateKey) => {
        const position: Position | undefined = stateEventPosition(reader, room.id, type, stateKey);
        return position === undefined ? undefined : authEventAt(reader, position);
      },
      (eventId) => referenceHashOf(reader, eventId),
    );
    // It is made anew when all members are known.
    const partial = partialRoom(reader, room.id);
    if (partial !== undefined) {
      const sent = countSince(reader, room.id, partial.place, MAX_SENT_BEFORE_MEMBERS);
      this.#leftBeforeMembers.set(head, MAX_SENT_BEFORE_MEMBERS - sent);
    }
    return head;
  }

  #letGoOfOldest(): void {
    if (this.#heads.size < MAX_ACTIVE_ROOMS) return;
    for (const [roomId, head] of this.#heads) {
      if (head.pendingAppends > 0) continue;
      this.#heads.delete(roomId);
      return;
    }
  }
}
