import { eventById, roomById, userRoomOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import { clientEvent, viewerOf } from '#src/sync/client-event.ts';

/**
 * `GET /_matrix/client/v3/events/{eventId}`: one event without saying of which room, for clients of old.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3eventseventid
 */
export const getEventById = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/events/{eventId}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader, clock }: Context) => {
    const event = eventById(reader, params.eventId);
    const room = event && roomById(reader, event.room);
    const isForgotten = room !== undefined && userRoomOf(reader, requester.userId, room.id)?.forgotten === true;
    const visibility = room && new RoomVisibility(reader, room.id, requester.userId);
    if (event === undefined || room === undefined || isForgotten || visibility?.canSee(event) !== true) {
      throw notFound('There is no such event, or you may not see it.');
    }
    const view = { reader, visibility, viewer: viewerOf(requester), nowMs: clock(), roomId: room.roomId };
    return jsonTextAnswer(clientEvent(view, event));
  },
});
