import { eventById, findRoom, userRoomOf } from '#projections/rooms/queries.ts';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { RoomVisibility } from '#src/rooms/visibility.ts';
import { clientEvent, viewerOf } from '#src/sync/client-event.ts';

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`: one event, if the user may see it.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid
 */
export const getEvent = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/event/{eventId}',
  auth: 'guest',
  rateLimit: 'read',
  handler: ({ params, requester }, { reader, clock }: Context) => {
    const room = findRoom(reader, params.roomId);
    const event = room && eventById(reader, params.eventId);
    if (room === undefined || event?.room !== room.id) throw noSuchEvent();
    const visibility = new RoomVisibility(reader, room.id, requester.userId);
    const isForgotten = userRoomOf(reader, requester.userId, room.id)?.forgotten === true;
    if (isForgotten || !visibility.canSee(event)) throw noSuchEvent();
    const view = { reader, visibility, viewer: viewerOf(requester), nowMs: clock(), roomId: params.roomId };
    return jsonTextAnswer(clientEvent(view, event));
  },
});

function noSuchEvent(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'There is no such event in this room, or you may not see it.');
}
