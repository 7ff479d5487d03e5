/** Which rooms have something new, so that a sync looks into those and not into each room of its user. */
import type { Reader } from '#projections/engine/reader.ts';
import { receiptRoomsSince } from '#projections/receipts/queries.ts';
import { versionAfter } from '#projections/rooms/event-row.ts';
import {
  type Event,
  eventsSince,
  findRoom,
  settledBetween,
  settledSince,
  stateKeysChangedBetween,
} from '#projections/rooms/queries.ts';
import type { MembershipChange } from '#src/encryption/device-list-news.ts';
import { BEFORE_FIRST, type Position } from '#streams/event-log.ts';

/** How many positions of the log are remembered, counted back from the newest. */
export const MAX_POSITIONS_REMEMBERED = 8192;

interface Change {
  readonly position: Position;
  /** Internal id of the room. */
  readonly room: Position;
  /** Whose membership it changed, if it did. */
  readonly member: string | undefined;
}

/**
 * The changes of the last few thousand positions, by reading the rows of each new position once for all users. Nothing here
 * is a source of truth: it is filled from what is committed whenever it is asked.
 */
export class RecentChanges {
  readonly #maxPositions: number;
  #changes: Change[] = [];
  /** Everything after this position, up to `#upTo`, is remembered. */
  #floor: Position = BEFORE_FIRST;
  #upTo: Position | undefined;

  constructor(maxPositions: number = MAX_POSITIONS_REMEMBERED) {
    this.#maxPositions = maxPositions;
  }

  /** The rooms with events or receipts after a position; undefined if that is too long ago. */
  roomsSince(reader: Reader, since: Position): Set<Position> | undefined {
    this.#catchUp(reader);
    if (since < this.#floor) return undefined;
    const rooms = new Set<Position>();
    for (let index = this.#changes.length - 1; index >= 0; index -= 1) {
      const change = this.#changes[index];
      if (change === undefined || change.position <= since) break;
      rooms.add(change.room);
    }
    return rooms;
  }

  /** Whether a user's memberships have stayed as they were after a position; false if that is too long ago to tell. */
  keptMemberships(reader: Reader, userId: string, since: Position): boolean {
    this.#catchUp(reader);
    if (since < this.#floor) return false;
    for (let index = this.#changes.length - 1; index >= 0; index -= 1) {
      const change = this.#changes[index];
      if (change === undefined || change.position <= since) break;
      if (change.member === userId) return false;
    }
    return true;
  }

  /** Whose memberships changed after a position, the newest change first; undefined if that is too long ago to tell. */
  membershipsSince(reader: Reader, since: Position): MembershipChange[] | undefined {
    this.#catchUp(reader);
    if (since < this.#floor) return undefined;
    const memberships: MembershipChange[] = [];
    for (let index = this.#changes.length - 1; index >= 0; index -= 1) {
      const change = this.#changes[index];
      if (change === undefined || change.position <= since) break;
      const { room, member } = change;
      if (member !== undefined) memberships.push({ room, member });
    }
    return memberships;
  }

  #catchUp(reader: Reader): void {
    const { frontier } = reader;
    if (frontier === this.#upTo) return;
    const oldest = Math.max(frontier - this.#maxPositions, BEFORE_FIRST);
    if (this.#upTo === undefined || this.#upTo < oldest || this.#upTo > frontier) {
      this.#changes = [];
      this.#floor = oldest;
      this.#upTo = oldest;
    }
    this.#changes.push(...changesSince(reader, this.#upTo));
    this.#upTo = frontier;
    this.#forgetOld(oldest);
  }

  /** Cuts off what is too old once it is as much as what is kept, so that each change is moved at most once. */
  #forgetOld(oldest: Position): void {
    if (oldest - this.#floor < this.#maxPositions) return;
    const kept = this.#changes.findIndex(({ position }) => position > oldest);
    this.#changes = kept < 0 ? [] : this.#changes.slice(kept);
    this.#floor = oldest;
  }
}

function changesSince(reader: Reader, since: Position): Change[] {
  const changes: Change[] = [];
  let isInOrder = true;
  let last = since;
  for (const { place, event } of eventsSince(reader, since)) {
    const { room, type, stateKey, fork } = event;
    // What came late, or from outside, is told of after all others.
    if (place < last) isInOrder = false;
    last = place;
    changes.push({ position: place, room, member: type === 'm.room.member' ? stateKey : undefined });
    // Where forks met, memberships may have changed that the event does not name.
    if (fork !== undefined) changes.push(...membersChangedWith(reader, event, place));
  }
  const eventCount = isInOrder ? changes.length : -1;
  for (const { at, roomId } of receiptRoomsSince(reader, since)) {
    const room = findRoom(reader, roomId);
    if (room !== undefined) changes.push({ position: at, room: room.id, member: undefined });
  }
  for (const { place, room } of settledSince(reader, since)) {
    changes.push({ position: place, room, member: undefined });
    const settled = settledBetween(reader, room, place - 1, place);
    if (settled !== undefined) changes.push(...membersChangedBetween(reader, room, settled.from, settled.to, place));
  }
  if (changes.length !== eventCount) changes.sort((a, b) => a.position - b.position);
  return changes;
}

function membersChangedWith(reader: Reader, event: Event, place: Position): Change[] {
  return membersChangedBetween(reader, event.room, event.stateVersion, versionAfter(event), place);
}

function membersChangedBetween(reader: Reader, room: Position, after: number, upTo: number, place: Position): Change[] {
  const changes: Change[] = [];
  for (const { type, stateKey } of stateKeysChangedBetween(reader, room, after, upTo)) {
    if (type === 'm.room.member') changes.push({ position: place, room, member: stateKey });
  }
  return changes;
}
