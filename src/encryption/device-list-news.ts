/**
 * Whose devices a user has to look at anew, and whose no more.
 * https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
 *
 * Everybody who is in a room with the user counts, whether or not the room is encrypted: it may become so at any time, and
 * clients only ask for the keys of those they want to write to.
 */
import { listsChangedBetween, listsChangedFor } from '#projections/encryption/key-queries.ts';
import type { Reader } from '#projections/engine/reader.ts';
import {
  joinedMembers,
  membershipOf,
  membersOf,
  roomsOf,
  stateContent,
  stateKeysChangedBetween,
  stateVersionAt,
  userRoomOf,
} from '#projections/rooms/queries.ts';
import type { Pacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';

/** Somebody's membership of a room changed. */
export interface MembershipChange {
  /** Internal id of the room. */
  readonly room: Position;
  readonly member: string;
}

/** Who asks, and about which part of the log. */
export interface DeviceListQuestion {
  readonly reader: Reader;
  readonly viewer: string;
  /** What the user knows already. */
  readonly since: Position;
  readonly upTo: Position;
  /** The changes after `since` in all rooms, where they are known; they are searched for otherwise. */
  readonly memberships: readonly MembershipChange[] | undefined;
  readonly pacer: Pacer;
}

export interface DeviceListNews {
  /** Users whose keys changed, or who came into a room of the user. */
  readonly changed: ReadonlySet<string>;
  /** Users who are in no room of the user any more. */
  readonly left: ReadonlySet<string>;
}

/** Up to so many rooms of one user it is cheaper to look for another in each than to read all rooms of the other. */
const FEW_ROOMS = 64;
/** Members whose devices may be used in a room: what is sent is often encrypted for those who are invited, too. */
const IN_ROOM: ReadonlySet<string | undefined> = new Set(['join', 'invite']);

/** What is new. Where it pauses, what comes meanwhile may be in the answer already, and then is in the next one again. */
export async function deviceListNews(question: DeviceListQuestion): Promise<DeviceListNews> {
  const { reader, viewer, since, upTo, pacer } = question;
  const shared = new SharedRooms(reader, viewer);
  const changed = new Set<string>(listsChangedFor(reader, viewer, since, upTo));
  const maybeLeft = new Set<string>();
  for (const userId of [...listsChangedBetween(reader, since, upTo)]) {
    if (pacer.isDue) await pacer.pause();
    if (userId === viewer || shared.isWith(userId)) changed.add(userId);
  }
  for (const change of question.memberships ?? (await membershipChanges(question))) {
    if (pacer.isDue) await pacer.pause();
    if (change.member === viewer) addForOwnChange(question, change.room, changed, maybeLeft);
    else addForChange(question, change, changed, maybeLeft);
  }
  const left = new Set<string>();
  for (const userId of maybeLeft) {
    if (pacer.isDue) await pacer.pause();
    if (!shared.isWith(userId)) left.add(userId);
  }
  return { changed, left };
}

/** The user came or went: everybody in the room is news. */
function addForOwnChange(
  { reader, viewer, since }: DeviceListQuestion,
  room: Position,
  changed: Set<string>,
  maybeLeft: Set<string>,
): void {
  const isIn = userRoomOf(reader, viewer, room)?.membership === 'join';
  const wasIn = membershipAt(reader, room, viewer, since) === 'join';
  if (isIn && !wasIn) {
    for (const userId of joinedMembers(reader, room)) if (userId !== viewer) changed.add(userId);
  } else if (!isIn && wasIn) {
    for (const { userId, membership, event } of membersOf(reader, room)) {
      if (userId !== viewer && (IN_ROOM.has(membership) || event > since)) maybeLeft.add(userId);
    }
  }
}

function addForChange(
  { reader, viewer, since }: DeviceListQuestion,
  { room, member }: MembershipChange,
  changed: Set<string>,
  maybeLeft: Set<string>,
): void {
  if (userRoomOf(reader, viewer, room)?.membership !== 'join') return;
  const now = membershipOf(reader, room, member);
  const before = membershipAt(reader, room, member, since);
  if (now === before) return;
  if (now === 'join' || (now === 'invite' && before !== 'join')) changed.add(member);
  else if (IN_ROOM.has(before)) maybeLeft.add(member);
}

function membershipAt(reader: Reader, room: Position, userId: string, position: Position): string | undefined {
  if (position < 0) return undefined;
  const version = stateVersionAt(reader, room, position);
  const membership = stateContent(reader, room, 'm.room.member', userId, version)?.membership;
  return typeof membership === 'string' ? membership : undefined;
}

/** The changes of memberships in the rooms that the user is in, or was in, after `since`. */
async function membershipChanges({
  reader,
  viewer,
  since,
  upTo,
  pacer,
}: DeviceListQuestion): Promise<MembershipChange[]> {
  const changes: MembershipChange[] = [];
  for (const { room, membership, since: changedAt } of [...roomsOf(reader, viewer)]) {
    if (pacer.isDue) await pacer.pause();
    if (membership !== 'join' && changedAt <= since) continue;
    const after = since < 0 ? 0 : stateVersionAt(reader, room, since);
    for (const { type, stateKey } of stateKeysChangedBetween(reader, room, after, stateVersionAt(reader, room, upTo))) {
      if (type === 'm.room.member') changes.push({ room, member: stateKey });
    }
  }
  return changes;
}

/** Tells with whom a user shares a room. */
class SharedRooms {
  readonly #reader: Reader;
  readonly #userId: string;
  #rooms: ReadonlySet<Position> | undefined;

  constructor(reader: Reader, userId: string) {
    this.#reader = reader;
    this.#userId = userId;
  }

  isWith(other: string): boolean {
    let seen = 0;
    for (const { room, membership } of roomsOf(this.#reader, other)) {
      seen += 1;
      if (seen > FEW_ROOMS) return this.#isWithSociable(other);
      if (membership === 'join' && membershipOf(this.#reader, room, this.#userId) === 'join') return true;
    }
    return false;
  }

  /** For somebody who is in very many rooms, so that the user's own are read, too. */
  #isWithSociable(other: string): boolean {
    this.#rooms ??= joinedRoomsOf(this.#reader, this.#userId);
    if (this.#rooms.size <= FEW_ROOMS) {
      for (const room of this.#rooms) if (membershipOf(this.#reader, room, other) === 'join') return true;
      return false;
    }
    for (const { room, membership } of roomsOf(this.#reader, other)) {
      if (membership === 'join' && this.#rooms.has(room)) return true;
    }
    return false;
  }
}

function joinedRoomsOf(reader: Reader, userId: string): Set<Position> {
  const rooms = new Set<Position>();
  for (const { room, membership } of roomsOf(reader, userId)) if (membership === 'join') rooms.add(room);
  return rooms;
}
