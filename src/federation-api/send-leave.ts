import { acceptMembership, type HandshakeContext } from '#src/federation/inbound/handshakes.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}`: a user of another server leaves, or turns an invite down.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_leaveroomideventid
 */
export const sendLeave = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v2/send_leave/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  body: 'json',
  handler: async ({ params, body, requester }, context: HandshakeContext) => {
    await acceptMembership(context, requester.origin, params.roomId, params.eventId, body, 'leave');
    return {};
  },
});

/** `PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId}`: the same for older servers, in the form that it had. */
export const sendLeaveOlder = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v1/send_leave/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  body: 'json',
  handler: async ({ params, body, requester }, context: HandshakeContext) => {
    await acceptMembership(context, requester.origin, params.roomId, params.eventId, body, 'leave');
    return jsonTextAnswer('[200,{}]');
  },
});
