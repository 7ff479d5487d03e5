import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger } from '#src/http/query.ts';
import { viewRoom } from '#src/rooms/room-view.ts';
import { DEFAULT_MESSAGES, MAX_MESSAGES, roomInfo, roomPresence, roomReceipts } from './room-info.ts';

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/initialSync`: a room as it is, also for those who only look where the world may read;
 * as it was when they left, for those who left.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidinitialsync
 */
export const roomInitialSync = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/initialSync',
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({ limit: queryInteger({ cap: MAX_MESSAGES }).default(DEFAULT_MESSAGES) }),
  handler: async ({ params, query, requester }, context: Context) => {
    viewRoom(context.reader, params.roomId, requester.userId);
    await context.rooms.whenMembersKnown(params.roomId);
    const view = viewRoom(context.reader, params.roomId, requester.userId);
    const members = await roomInfo(context, requester, view, query.limit);
    const isThere = view.departure === undefined;
    const presence = isThere ? roomPresence(context, view.room.id, requester.userId) : [];
    const receipts = isThere ? roomReceipts(context, params.roomId, requester.userId) : [];
    members.push(`"presence":[${presence.join(',')}]`, `"receipts":[${receipts.join(',')}]`);
    return jsonTextAnswer(`{${members.join(',')}}`);
  },
});
