/** What the deprecated initial syncs tell of a room. */

import { roomAccountData } from '#projections/account-data/queries.ts';
import { receiptContentsSince } from '#projections/receipts/queries.ts';
import { eventAt, joinedMembers, memberOf, userRoomOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import type { Requester } from '#src/http/endpoint.ts';
import { blocksInvites } from '#src/rooms/invite-permission.ts';
import type { RoomView } from '#src/rooms/room-view.ts';
import { type EventView, viewerOf } from '#src/sync/client-event.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { accountDataJson } from '#src/sync/joined-room.ts';
import { currentLife } from '#src/sync/log-lives.ts';
import { pacedEvents } from '#src/sync/paced-events.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { MAX_PRESENCE_EVENTS } from '#src/sync/presence-news.ts';
import { stateAtVersion, stateEvents } from '#src/sync/room-state.ts';
import { formatPlace, formatSyncToken } from '#src/sync/tokens.ts';
import { BEFORE_FIRST } from '#streams/event-log.ts';
import { oldEvent, oldPresenceEvent } from '../event-stream/old-events.ts';
import { NO_ROOM_EVENT_FILTER } from '../filters/filter.ts';
import { outermostPlace, pageEvents, readPage } from '../messages/page.ts';

/** Messages of a room when the client does not say. */
export const DEFAULT_MESSAGES = 10;
/** Most messages of a room. */
export const MAX_MESSAGES = 100;

/** Members of the JSON object of a room, each `"name":value`. */
export async function roomInfo(
  context: Context,
  requester: Requester,
  view: RoomView,
  limit: number,
): Promise<string[]> {
  const { reader, directory, clock, sync } = context;
  const { room, visibility, stateVersion } = view;
  const { userId } = requester;
  // Good for the event stream too, which goes on from here.
  const end = formatSyncToken(sync.now());
  const from = outermostPlace(reader, view, 'b');
  const page = await readPage({
    reader,
    view,
    from,
    direction: 'b',
    limit,
    pacer: sharedPacer,
    accepts: pageEvents(reader, view, userId, NO_ROOM_EVENT_FILTER),
  });
  const source = { reader, room: room.id, pacer: sharedPacer };
  const state = await stateEvents(source, (await stateAtVersion(source, stateVersion, true)).values(), () => true);
  const eventView: EventView = {
    reader,
    visibility,
    viewer: viewerOf(requester),
    nowMs: clock(),
    roomId: room.roomId,
  };
  const text = (event: (typeof state)[number]): string => oldEvent(eventView, event);
  const start = formatPlace(page.end ?? from, currentLife(reader));
  const membership = userRoomOf(reader, userId, room.id)?.membership;
  const accountData = Array.from(roomAccountData(reader, userId, room.roomId), ({ type, contentJson }) =>
    accountDataJson(type, contentJson),
  );
  return [
    `"room_id":${JSON.stringify(room.roomId)}`,
    ...(membership === undefined ? [] : [`"membership":${JSON.stringify(membership)}`]),
    `"visibility":"${directory.isListed(room.roomId) ? 'public' : 'private'}"`,
    `"messages":{"chunk":${await pacedEvents(page.events.toReversed(), sharedPacer, text)},"end":"${end}","start":"${start}"}`,
    `"state":${await pacedEvents(state, sharedPacer, text)}`,
    `"account_data":[${accountData.join(',')}]`,
  ];
}

/** JSON texts of the receipts in a room that a member sees. */
export function roomReceipts({ reader }: Pick<Context, 'reader'>, roomId: string, userId: string): string[] {
  return receiptContentsSince(reader, roomId, BEFORE_FIRST, userId, ignoredUsers(reader, userId)).map((content) =>
    JSON.stringify({ type: 'm.receipt', room_id: roomId, content }),
  );
}

/** JSON texts of the presence of a room's members, those who are offline included, as far as the user wants to know of them. */
export function roomPresence(
  { reader, presence, clock }: Pick<Context, 'reader' | 'presence' | 'clock'>,
  room: number,
  forUser: string,
): string[] {
  if (!presence.isEnabled) return [];
  const ignored = ignoredUsers(reader, forUser);
  const nowMs = clock();
  const events: string[] = [];
  for (const userId of joinedMembers(reader, room)) {
    if (events.length >= MAX_PRESENCE_EVENTS) break;
    if (ignored.has(userId)) continue;
    events.push(oldPresenceEvent(userId, presence.of(userId), nowMs));
  }
  return events;
}

/** JSON text of a room that the user is invited to, or has knocked on. */
export function pendingRoom(
  { reader, clock }: Pick<Context, 'reader' | 'clock'>,
  requester: Requester,
  { room, visibility }: Pick<RoomView, 'room' | 'visibility'>,
): string | undefined {
  const member = memberOf(reader, room.id, requester.userId);
  const event = member && eventAt(reader, member.event);
  if (member === undefined || event === undefined) return undefined;
  const isInvite = member.membership === 'invite';
  if (isInvite && ignoredUsers(reader, requester.userId).has(event.sender)) return undefined;
  if (isInvite && blocksInvites(reader, requester.userId)) return undefined;
  const view = { reader, visibility, viewer: viewerOf(requester), nowMs: clock(), roomId: room.roomId };
  return (
    `{"room_id":${JSON.stringify(room.roomId)},"membership":${JSON.stringify(member.membership)},` +
    `"inviter":${JSON.stringify(event.sender)},"${member.membership}":${oldEvent(view, event)}}`
  );
}
