import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { viewRoom } from '#src/rooms/room-view.ts';
import { clientEvent, viewerOf } from '#src/sync/client-event.ts';
import { pacedEvents } from '#src/sync/paced-events.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { stateAtVersion, stateEvents } from '#src/sync/room-state.ts';

/**
 * `GET /_matrix/client/v3/rooms/{roomId}/state`: the state of a room, or for somebody who left, as it was then.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate
 */
export const getState = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/rooms/{roomId}/state',
  auth: 'guest',
  rateLimit: 'read',
  handler: async ({ params, requester }, { reader, rooms, clock }: Context) => {
    await rooms.whenMembersKnown(params.roomId);
    const { room, visibility, stateVersion } = viewRoom(reader, params.roomId, requester.userId);
    const source = { reader, room: room.id, pacer: sharedPacer };
    const positions = await stateAtVersion(source, stateVersion, true);
    const events = await stateEvents(source, positions.values(), () => true);
    const view = { reader, visibility, viewer: viewerOf(requester), nowMs: clock(), roomId: params.roomId };
    return jsonTextAnswer(await pacedEvents(events, source.pacer, (event) => clientEvent(view, event)));
  },
});
