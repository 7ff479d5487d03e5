import { z } from 'zod';
import { allAccountData } from '#projections/account-data/queries.ts';
import { roomById, roomsOf, type UserRoom } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint, type Requester } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryFlag, queryInteger } from '#src/http/query.ts';
import { viewRoom } from '#src/rooms/room-view.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import { viewerOf } from '#src/sync/client-event.ts';
import { ignoredUsers } from '#src/sync/ignored-users.ts';
import { accountDataJson } from '#src/sync/joined-room.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { presentUsers } from '#src/sync/presence-news.ts';
import { formatSyncToken } from '#src/sync/tokens.ts';
import { PUSH_RULES_TYPE } from '../account-data/entries.ts';
import { oldPresenceEvent } from '../event-stream/old-events.ts';
import { NO_FILTER } from '../filters/filter.ts';
import { DEFAULT_MESSAGES, MAX_MESSAGES, pendingRoom, roomInfo, roomReceipts } from './room-info.ts';

/**
 * `GET /_matrix/client/v3/initialSync`: everything, for clients of old; those of today sync.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3initialsync
 */
export const initialSync = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/initialSync',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({
    limit: queryInteger({ cap: MAX_MESSAGES }).default(DEFAULT_MESSAGES),
    archived: queryFlag().default(false),
  }),
  handler: async ({ query, requester }, context: Context) => {
    const { reader, presence, sync, clock } = context;
    const { userId, deviceKey } = viewerOf(requester);
    presence.attend(userId, deviceKey, 'online')();
    const end = formatSyncToken(sync.now());
    const rooms: string[] = [];
    const receipts: string[] = [];
    const joined: { readonly id: number; readonly roomId: string }[] = [];
    for (const row of [...roomsOf(reader, userId)]) {
      if (sharedPacer.isDue) await sharedPacer.pause();
      const room = roomById(reader, row.room);
      const text = room && (await describe(context, requester, { row, roomId: room.roomId }, query));
      if (room === undefined || text === undefined) continue;
      rooms.push(text);
      if (row.membership !== 'join') continue;
      joined.push(room);
      receipts.push(...roomReceipts(context, room.roomId, userId));
    }
    const nowMs = clock();
    const present = presentUsers({
      reader,
      presence,
      userId,
      filter: NO_FILTER.presence,
      seenSerial: undefined,
      rooms: joined,
      memberships: undefined,
      ignored: ignoredUsers(reader, userId),
      nowMs,
    }).map((user) => oldPresenceEvent(user, presence.of(user), nowMs));
    const accountData: string[] = [];
    for (const { roomId, type, contentJson } of allAccountData(reader, userId)) {
      // What is stored of push rules is not what clients know as push rules; those of old ask for them.
      if (roomId === undefined && type !== PUSH_RULES_TYPE) accountData.push(accountDataJson(type, contentJson));
    }
    return jsonTextAnswer(
      `{"account_data":[${accountData.join(',')}],"end":"${end}","presence":[${present.join(',')}],` +
        `"receipts":[${receipts.join(',')}],"rooms":[${rooms.join(',')}]}`,
    );
  },
});

/** JSON text of a room; undefined for one that is not to be told of. */
async function describe(
  context: Context,
  requester: Requester,
  { row, roomId }: { readonly row: UserRoom; readonly roomId: string },
  { limit, archived }: { readonly limit: number; readonly archived: boolean },
): Promise<string | undefined> {
  const { reader } = context;
  if (row.forgotten) return undefined;
  if (row.membership === 'invite' || row.membership === 'knock') {
    const room = roomById(reader, row.room);
    const visibility = new RoomVisibility(reader, row.room, requester.userId);
    return room && pendingRoom(context, requester, { room, visibility });
  }
  if (row.membership !== 'join' && !archived) return undefined;
  try {
    const view = viewRoom(reader, roomId, requester.userId);
    return `{${(await roomInfo(context, requester, view, limit)).join(',')}}`;
  } catch (error) {
    // Somebody who turned an invite down was never in the room, and has nothing to see of it.
    if (error instanceof MatrixError && error.errcode === 'M_FORBIDDEN') return undefined;
    throw error;
  }
}
