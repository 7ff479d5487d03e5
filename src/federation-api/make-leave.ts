import { type HandshakeContext, makeMembership } from '#src/federation/inbound/handshakes.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `GET /_matrix/federation/v1/make_leave/{roomId}/{userId}`: an event with which a user of another server may leave the room, to be signed.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_leaveroomiduserid
 */
export const makeLeave = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/make_leave/{roomId}/{userId}',
  auth: 'server',
  rateLimit: 'federation',
  handler: ({ params, requester }, context: HandshakeContext) =>
    makeMembership(context, requester.origin, params.roomId, params.userId, 'leave', undefined),
});
