/** Whose presence a sync tells of: people who share a room with the user, and the user. */
import type { Reader } from '#projections/engine/reader.ts';
import { profileOf } from '#projections/profiles/queries.ts';
import { headOf, joinedMembers, membershipOf, roomsOf } from '#projections/rooms/queries.ts';
import type { EventFilter } from '#src/client-api/filters/filter.ts';
import type { MembershipChange } from '#src/encryption/device-list-news.ts';
import type { Presence, UserPresence } from '#src/ephemeral/presence.ts';
import type { Position } from '#streams/event-log.ts';
import type { JoinedRoom } from './joined-rooms.ts';

/** Most people one answer tells of; of the others it is told when they change next. */
export const MAX_PRESENCE_EVENTS = 1_000;
/** Rows that are looked at for one answer, some 20 ms of work; of who is not found with them it is told when they change next. */
const MAX_LOOK_UPS = 20_000;
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
  /** Of whom the user wants to know nothing. */
  readonly ignored: ReadonlySet<string>;
  readonly nowMs: number;
}

/** JSON texts of `m.presence` events. */
export function presenceNews(question: PresenceQuestion): string[] {
  return presentUsers(question).map((userId) => presenceEvent(question, userId));
}

/** Users whose presence is to be told. */
export function presentUsers(question: PresenceQuestion): string[] {
  const { presence, filter, ignored } = question;
  if (!presence.isEnabled || filter.passesNone) return [];
  const limit = Math.min(filter.limit ?? MAX_PRESENCE_EVENTS, MAX_PRESENCE_EVENTS);
  const users: string[] = [];
  for (const userId of interesting(question)) {
    if (users.length >= limit) break;
    if (!ignored.has(userId) && filter.matchesTypeAndSender('m.presence', userId)) users.push(userId);
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

/** With what a local user is called: other servers do not say it with the presence of theirs. */
function presenceEvent({ reader, presence, nowMs }: PresenceQuestion, userId: string): string {
  const content = { ...presenceContent(presence.of(userId), nowMs), ...profileOf(reader, userId) };
  return JSON.stringify({ content, sender: userId, type: 'm.presence' });
}

/** How much may still be looked up for one answer. */
interface Budget {
  left: number;
}

/** Whether another user is in one of the rooms; as if not, where the budget is used up. */
function shareRoom(reader: Reader, ids: ReadonlySet<Position>, other: string, budget: Budget): boolean {
  if (ids.size <= FEW_ROOMS) {
    for (const id of ids) if (budget.left-- > 0 && membershipOf(reader, id, other) === 'join') return true;
    return false;
  }
  for (const { room, membership } of roomsOf(reader, other)) {
    if (budget.left-- <= 0) return false;
    if (membership === 'join' && ids.has(room)) return true;
  }
  return false;
}

function* interesting(question: PresenceQuestion): Generator<string> {
  const { reader, presence, userId, seenSerial, rooms, memberships } = question;
  const budget: Budget = { left: MAX_LOOK_UPS };
  const changed = seenSerial === undefined || memberships === undefined ? undefined : presence.changedSince(seenSerial);
  if (changed === undefined) {
    yield* awakeAround(question, budget);
    return;
  }
  const told = new Set<string>();
  const ids = new Set(rooms.map(({ id }) => id));
  // The newest changes come first.
  for (const other of changed) {
    told.add(other);
    if (other === userId || shareRoom(reader, ids, other, budget)) yield other;
  }
  for (const other of newcomers(question, budget)) {
    if (told.has(other)) continue;
    told.add(other);
    yield other;
  }
}

/** Everybody who is awake: the user, and those in the user's rooms, small rooms first. */
function* awakeAround({ reader, presence, userId, rooms }: PresenceQuestion, budget: Budget): Generator<string> {
  if (presence.isAwake(userId)) yield userId;
  const sized = rooms.map(({ id }) => ({ id, joined: headOf(reader, id)?.joined ?? 0 }));
  sized.sort((a, b) => a.joined - b.joined);
  const told = new Set([userId]);
  for (const { id, joined } of sized) {
    for (const other of awakeIn({ reader, presence }, id, joined, budget)) {
      if (told.has(other)) continue;
      told.add(other);
      yield other;
    }
  }
}

/** Those who came into a room of the user, and those who are in a room that the user came into: in a large one, who is awake. */
function* newcomers(
  { reader, presence, userId, rooms, memberships = [] }: PresenceQuestion,
  budget: Budget,
): Generator<string> {
  if (memberships.length === 0) return;
  const ids = new Set(rooms.map(({ id }) => id));
  for (const { room, member } of memberships) {
    if (!ids.has(room)) continue;
    const joined = headOf(reader, room)?.joined ?? 0;
    // Who came and has gone again is of no interest; who has left is in none of the user's rooms because of this one.
    if (member !== userId) {
      if (budget.left-- > 0 && membershipOf(reader, room, member) === 'join') yield member;
    } else if (joined <= FEW_MEMBERS) {
      yield* joinedMembers(reader, room);
    } else {
      yield* awakeIn({ reader, presence }, room, joined, budget);
    }
  }
}

/** Members of a room who are awake: by the members, or by those who are awake, whichever are fewer. */
function* awakeIn(
  { reader, presence }: Pick<PresenceQuestion, 'reader' | 'presence'>,
  room: Position,
  joined: number,
  budget: Budget,
): Generator<string> {
  if (joined <= presence.size) {
    for (const other of joinedMembers(reader, room)) {
      if (budget.left-- <= 0) return;
      if (presence.isAwake(other)) yield other;
    }
    return;
  }
  for (const other of presence.awake()) {
    if (budget.left-- <= 0) return;
    if (membershipOf(reader, room, other) === 'join') yield other;
  }
}
