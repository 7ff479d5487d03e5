/** One look at what is new on the deprecated event stream. */
import { receiptContentsSince } from '#projections/receipts/queries.ts';
import {
  type Event,
  eventAt,
  findRoom,
  headOf,
  type Room,
  roomById,
  roomsOf,
  timelineBackwards,
} from '#projections/rooms/queries.ts';
import { accountDataForSync } from '#src/client-api/account-data/entries.ts';
import type { Context } from '#src/context.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import type { Viewer } from '#src/sync/client-event.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { mayHaveTyping } from '#src/sync/look.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { presentUsers } from '#src/sync/presence-news.ts';
import { formatSyncToken, type SyncToken } from '#src/sync/tokens.ts';
import type { Position } from '#streams/event-log.ts';
import { NO_FILTER } from '../filters/filter.ts';
import { oldEvent, oldPresenceEvent } from './old-events.ts';

/** Most events of one room in one answer; of what is older clients of this stream learn with an initial sync. */
export const MAX_EVENTS_OF_ROOM = 100;

export interface StreamQuestion {
  readonly viewer: Viewer;
  /** What the client has seen. */
  readonly since: SyncToken;
  /** The one room that is looked at; undefined for all rooms of the user. */
  readonly peekedRoomId: string | undefined;
}

export interface StreamNews {
  /** JSON texts of events, the oldest first. */
  readonly chunk: readonly string[];
  readonly next: SyncToken;
}

/** A room that is followed, as a member or from outside. */
interface Followed {
  readonly room: Room;
  /** Undefined for one that is only looked at. */
  readonly membership: string | undefined;
  /** The member event that ended the user's time in the room: of what came later they hear nothing. */
  readonly leftAt: Position | undefined;
}

interface Placed {
  readonly place: number;
  readonly text: string;
}

/** What came after the client's token. */
export async function streamNews(context: Context, question: StreamQuestion): Promise<StreamNews> {
  const { reader, sync } = context;
  const { viewer, since } = question;
  // Everything up to here is told of, whatever comes while this is put together.
  const next = sync.now();
  const followed = followedRooms(context, question);
  const events: Placed[] = [];
  for (const one of followed) {
    if (sharedPacer.isDue) await sharedPacer.pause();
    if ((headOf(reader, one.room.id)?.latest ?? 0) > since.position)
      events.push(...roomEvents(context, question, one, next));
  }
  events.sort((a, b) => a.place - b.place);
  const members = followed.filter(({ membership }) => membership === 'join' || question.peekedRoomId !== undefined);
  const rooms = members.map(({ room }) => room);
  const chunk = events.map(({ text }) => text);
  chunk.push(...typingAndReceipts(context, question, rooms), ...presenceOf(context, question, rooms, next));
  if (question.peekedRoomId === undefined) chunk.push(...accountDataOf(context, viewer.userId, since));
  return { chunk, next };
}

/** Whether two tokens say the same, so that there is nothing new after the one. */
export function isSameToken(a: SyncToken, b: SyncToken): boolean {
  return formatSyncToken(a) === formatSyncToken(b);
}

function followedRooms({ reader }: Context, { viewer, peekedRoomId }: StreamQuestion): Followed[] {
  if (peekedRoomId !== undefined) {
    const room = findRoom(reader, peekedRoomId);
    return room === undefined ? [] : [{ room, membership: undefined, leftAt: undefined }];
  }
  const followed: Followed[] = [];
  for (const { room: id, membership, forgotten, event } of roomsOf(reader, viewer.userId)) {
    const room = forgotten ? undefined : roomById(reader, id);
    const leftAt = membership === 'join' ? undefined : event;
    if (room !== undefined) followed.push({ room, membership, leftAt });
  }
  return followed;
}

function roomEvents(
  { reader, clock }: Context,
  { viewer, since }: StreamQuestion,
  { room, membership, leftAt }: Followed,
  next: SyncToken,
): Placed[] {
  const visibility = new RoomVisibility(reader, room.id, viewer.userId);
  const ignored = ignoredUsers(reader, viewer.userId);
  const view = { reader, visibility, viewer, nowMs: clock(), roomId: room.roomId };
  const isShown = (event: Event): boolean =>
    (visibility.isOwnMembership(event) && !(membership === 'invite' && ignored.has(event.sender))) ||
    (visibility.canSee(event) && (event.stateKey !== undefined || !ignored.has(event.sender)));
  const events: Placed[] = [];
  let looked = 0;
  const upTo = Math.min(leftAt ?? next.position, next.position);
  for (const { place, position } of timelineBackwards(reader, room.id, since.position, upTo)) {
    const event = eventAt(reader, position);
    if (event !== undefined && isShown(event)) events.push({ place, text: oldEvent(view, event) });
    looked += 1;
    if (looked >= MAX_EVENTS_OF_ROOM) break;
  }
  return events;
}

function* typingAndReceipts(
  { reader, typing }: Context,
  { viewer, since }: StreamQuestion,
  rooms: readonly Room[],
): Generator<string> {
  const hasTyping = mayHaveTyping(typing.serial, { serial: since.serial, isCurrent: true });
  const ignored = ignoredUsers(reader, viewer.userId);
  for (const { roomId } of rooms) {
    const users = hasTyping ? typing.typingSince(roomId, since.serial) : undefined;
    const shown = users?.filter((userId) => !ignored.has(userId));
    if (shown !== undefined) yield JSON.stringify({ type: 'm.typing', room_id: roomId, content: { user_ids: shown } });
    for (const content of receiptContentsSince(reader, roomId, since.position, viewer.userId, ignored)) {
      yield JSON.stringify({ type: 'm.receipt', room_id: roomId, content });
    }
  }
}

function presenceOf(
  { reader, presence, clock }: Context,
  { viewer, since }: StreamQuestion,
  rooms: readonly Room[],
  next: SyncToken,
): string[] {
  const isCurrent = since.epoch === next.epoch;
  const nowMs = clock();
  const users = presentUsers({
    reader,
    presence,
    userId: viewer.userId,
    filter: NO_FILTER.presence,
    seenSerial: isCurrent ? since.serial : undefined,
    rooms,
    memberships: [],
    ignored: ignoredUsers(reader, viewer.userId),
    nowMs,
  });
  return users.map((userId) => oldPresenceEvent(userId, presence.of(userId), nowMs));
}

function* accountDataOf({ reader }: Context, userId: string, since: SyncToken): Generator<string> {
  for (const { roomId, type, contentJson } of accountDataForSync(reader, userId, since.position)) {
    const room = roomId === undefined ? '' : `,"room_id":${JSON.stringify(roomId)}`;
    yield `{"content":${contentJson}${room},"type":${JSON.stringify(type)}}`;
  }
}
