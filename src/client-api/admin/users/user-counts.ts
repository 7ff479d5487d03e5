/**
 * Figures that tell a spammer from others. Times are those at which this server took events in, by its own clock.
 * https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#get-the-number-of-invites-sent-by-the-user
 */
import { z } from 'zod';
import type { Reader } from '#projections/engine/reader.ts';
import { eventAt, roomsOf, stateHistoryBackwards, timelineBackwards } from '#projections/rooms/queries.ts';
import { parseJson } from '#protocol/json-limits.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger } from '#src/http/query.ts';
import { lastRecordBy } from '#src/rooms/as-of.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';
import { accountOf } from './account.ts';

const MEMBER = 'm.room.member';
/** Events that are looked at before others get their turn. */
const EVENTS_A_TURN = 200;

const query = z.object({ from_ts: queryInteger() });
type CountContext = Pick<Context, 'reader' | 'log' | 'accounts' | 'serverName'>;

/** `GET /_synapse/admin/v1/users/{userId}/sent_invite_count`: invites that the user sent from a time on. */
export const sentInviteCount = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/{userId}/sent_invite_count',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  query,
  handler: async ({ params: { userId }, query }, context: CountContext) => {
    accountOf(context, userId);
    const { reader, log } = context;
    const before = await lastRecordBy(log, reader.frontier, query.from_ts - 1);
    let count = 0;
    for (const { room } of Array.from(roomsOf(reader, userId)))
      count += await invitesSent(reader, room, userId, before);
    return { invite_count: count };
  },
});

/** `GET /_synapse/admin/v1/users/{userId}/cumulative_joined_room_count`: rooms that the user came into from a time on. */
export const cumulativeJoinedRoomCount = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/users/{userId}/cumulative_joined_room_count',
  auth: 'admin',
  may: 'users.read',
  audit: { action: 'user.read' },
  rateLimit: 'none',
  query,
  handler: async ({ params: { userId }, query }, context: CountContext) => {
    accountOf(context, userId);
    const { reader, log } = context;
    const before = await lastRecordBy(log, reader.frontier, query.from_ts - 1);
    let count = 0;
    for (const { room } of Array.from(roomsOf(reader, userId))) {
      if (hasJoinedSince(reader, room, userId, before)) count += 1;
      if (sharedPacer.isDue) await sharedPacer.pause();
    }
    return { cumulative_joined_room_count: count };
  },
});

async function invitesSent(reader: Reader, room: Position, sender: string, after: Position): Promise<number> {
  let count = 0;
  let upTo = reader.frontier;
  for (;;) {
    let looked = 0;
    for (const { place, position } of timelineBackwards(reader, room, after, upTo)) {
      upTo = place - 1;
      looked += 1;
      const event = eventAt(reader, position);
      if (event?.type === MEMBER && event.sender === sender && membershipIn(event.contentJson) === 'invite') count += 1;
      if (looked === EVENTS_A_TURN) break;
    }
    if (looked < EVENTS_A_TURN) return count;
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
}

/** Whether the user came into the room after a record: a changed name of somebody who was in it is no coming in. */
function hasJoinedSince(reader: Reader, room: Position, userId: string, after: Position): boolean {
  let later: unknown;
  for (const { position } of stateHistoryBackwards(reader, room, MEMBER, userId)) {
    const membership = membershipIn(eventAt(reader, position)?.contentJson);
    if (later === 'join' && membership !== 'join') return true;
    if (position <= after) return false;
    later = membership;
  }
  return later === 'join';
}

function membershipIn(contentJson: string | undefined): unknown {
  if (contentJson === undefined) return undefined;
  return (parseJson(contentJson) as JsonObject)['membership'];
}
