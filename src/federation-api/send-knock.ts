import type { Context } from '#src/context.ts';
import { acceptMembership, type HandshakeContext } from '#src/federation/inbound/handshakes.ts';
import { strippedRoomState } from '#src/federation/stripped-room-state.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}`: a user of another server asks to be let in.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid
 */
export const sendKnock = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v1/send_knock/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  body: 'json',
  handler: async ({ params, body, requester }, context: HandshakeContext & Pick<Context, 'log'>) => {
    const { room } = await acceptMembership(context, requester.origin, params.roomId, params.eventId, body, 'knock');
    return { knock_room_state: await strippedRoomState(context, room) };
  },
});
