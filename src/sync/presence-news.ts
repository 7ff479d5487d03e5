/** Whose presence a sync tells of: people who share a room with the user, and the user. */
import type { Reader } from '#projections/engine/reader.ts';
import { headOf, joinedMembers, membershipOf, roomsOf } from '#projections/rooms/queries.ts';
import type { EventFilter } from '#src/client-api/filters/filter.ts';
import type { MembershipChange } from '#src/encryption/device-list-news.ts';
import type { Presence, UserPresence } from '#src/ephemeral/presence.ts';
import type { JoinedRoom } from './joined-rooms.ts';

/** Most people one answer tells of; of the others it is told when they change next. */
export const MAX_PRESENCE_EVENTS = 1_000;
/** Up to so many rooms of one user it is cheaper to look for another in each than to read all rooms of the other. */
const FEW_ROOMS = 64;
/** In a room with so many members a newcomer is told of those who are offline too. */
const FEW_MEMBERS = 100;

export interface PresenceQuestion {
  readonly reader: Reader;
  readonly presence: Presence;
  readonly userId: string;
  readonly filter: EventFilter;
  /** Serial of what the client has seen; undefined where that is nothing of this run of the server. */
  readonly seenSerial: number | undefined;
  /** Rooms of the user. */
  readonly rooms: readonly JoinedRoom[];
  /** Memberships that changed since the client's last answer; undefined where that is too long ago to tell. */
  readonly memberships: readonly MembershipChange[] | undefined;
  readonly nowMs: number;
}

/** JSON texts of `m.presence` events. */
export function presenceNews(question: PresenceQuestion): string[] {
  const { presence, nowMs } = question;
  return presentUsers(question).map((userId) => presenceEvent(userId, presence.of(userId), nowMs));
}

/** Users whose presence is to be told. */
export function presentUsers(question: PresenceQuestion): string[] {
  const { presence, filter } = question;
  if (!presence.isEnabled || filter.passesNone) return [];
  const limit = Math.min(filter.limit ?? MAX_PRESENCE_EVENTS, MAX_PRESENCE_EVENTS);
  const users: string[] = [];
  for (const userId of interesting(question)) {
    if (users.length >= limit) break;
    if (filter.matchesTypeAndSender('m.presence', userId)) users.push(userId);
  }
  return users;
}

/** Content of an `m.presence` event, and the answer of `GET …/presence/{userId}/status`. */
export function presenceContent(
  { presence, lastActiveAtMs, isCurrentlyActive, statusMsg }: UserPresence,
  nowMs: number,
): object {
  return {
    presence,
    ...(presence === 'online' && { currently_active: isCurrentlyActive }),
    ...(lastActiveAtMs !== undefined && { last_active_ago: Math.max(0, nowMs - lastActiveAtMs) }),
    ...(statusMsg !== undefined && { status_msg: statusMsg }),
  };
}

function presenceEvent(userId: string, state: UserPresence, nowMs: number): string {
  return JSON.stringify({ content: presenceContent(state, nowMs), sender: userId, type: 'm.presence' });
}

/** Whether two users are in one room. */
export function shareRoom(reader: Reader, rooms: readonly JoinedRoom[], other: string): boolean {
  if (rooms.length <= FEW_ROOMS) return rooms.some(({ id }) => membershipOf(reader, id, other) === 'join');
  const ids = new Set(rooms.map(({ id }) => id));
  for (const { room, membership } of roomsOf(reader, other)) if (membership === 'join' && ids.has(room)) return true;
  return false;
}

function* interesting(question: PresenceQuestion): Generator<string> {
  const { reader, presence, userId, seenSerial, rooms, memberships } = question;
  const changed = seenSerial === undefined || memberships === undefined ? undefined : presence.changedSince(seenSerial);
  if (changed === undefined) {
    yield* awakeAround(question);
    return;
  }
  const told = new Set<string>();
  for (const other of [...changed, ...newcomers(question)]) {
    if (told.has(other)) continue;
    told.add(other);
    if (other === userId || shareRoom(reader, rooms, other)) yield other;
  }
}

/** Everybody who is awake: the user, and those in the user's rooms. */
function* awakeAround({ reader, presence, userId, rooms }: PresenceQuestion): Generator<string> {
  if (presence.isAwake(userId)) yield userId;
  const memberCount = rooms.reduce((sum, { id }) => sum + (headOf(reader, id)?.joined ?? 0), 0);
  if (memberCount > presence.size) {
    for (const other of presence.awake()) if (other !== userId && shareRoom(reader, rooms, other)) yield other;
    return;
  }
  const told = new Set([userId]);
  for (const { id } of rooms) {
    for (const other of joinedMembers(reader, id)) {
      if (told.has(other) || !presence.isAwake(other)) continue;
      told.add(other);
      yield other;
    }
  }
}

/** Those who came into a room of the user, and those who are in a room that the user came into: in a large one, who is awake. */
function* newcomers({ reader, presence, userId, rooms, memberships = [] }: PresenceQuestion): Generator<string> {
  if (memberships.length === 0) return;
  const ids = new Set(rooms.map(({ id }) => id));
  for (const { room, member } of memberships) {
    if (!ids.has(room)) continue;
    if (member !== userId) {
      yield member;
      continue;
    }
    const joined = headOf(reader, room)?.joined ?? 0;
    if (joined <= FEW_MEMBERS) yield* joinedMembers(reader, room);
    else if (joined <= presence.size) {
      for (const other of joinedMembers(reader, room)) if (presence.isAwake(other)) yield other;
    } else {
      for (const other of presence.awake()) if (membershipOf(reader, room, other) === 'join') yield other;
    }
  }
}
