import { z } from 'zod';
import { stateEvent as findStateEvent } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryChoice } from '#src/http/query.ts';
import { MAX_EVENT_FIELD_BYTES } from '#src/rooms/event-writer.ts';
import { viewRoom } from '#src/rooms/room-view.ts';
import { clientEvent, viewerOf } from '#src/sync/client-event.ts';

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: a piece of a room's state, or for somebody who left, as
 * it was then.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey
 */
export const getStateEvent = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}',
  aliases: [
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}',
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/',
  ],
  auth: 'guest',
  rateLimit: 'read',
  query: z.object({ format: queryChoice(['content', 'event']).default('content') }),
  handler: async ({ params, query, requester }, { reader, rooms, clock }: Context) => {
    // All other state is known from the beginning.
    if (params.eventType === 'm.room.member') await rooms.whenMembersKnown(params.roomId);
    const { room, visibility, stateVersion } = viewRoom(reader, params.roomId, requester.userId);
    // No event has longer ones, and no key of a table could hold them.
    const mayExist = [params.eventType, params.stateKey].every(
      (text) => Buffer.byteLength(text) <= MAX_EVENT_FIELD_BYTES,
    );
    const event = mayExist
      ? findStateEvent(reader, room.id, params.eventType, params.stateKey, stateVersion)
      : undefined;
    if (event === undefined) throw new MatrixError('M_NOT_FOUND', 'The room has no such state.');
    if (query.format === 'content') return jsonTextAnswer(event.contentJson);
    const view = { reader, visibility, viewer: viewerOf(requester), nowMs: clock(), roomId: params.roomId };
    return jsonTextAnswer(clientEvent(view, event));
  },
});
