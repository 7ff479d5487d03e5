import { z } from 'zod';
import { acceptMembership, type HandshakeContext } from '#src/federation/inbound/handshakes.ts';
import { type JoinAnswerContext, joinAnswer } from '#src/federation/inbound/join-answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryFlag } from '#src/http/query.ts';

/**
 * `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`: a user of another server comes in.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
export const sendJoin = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v2/send_join/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ omit_members: queryFlag().default(false) }),
  body: 'json',
  handler: async ({ params, query, body, requester }, context: HandshakeContext & JoinAnswerContext) => {
    const joined = await acceptMembership(context, requester.origin, params.roomId, params.eventId, body, 'join');
    return joinAnswer(context, joined, query.omit_members, false);
  },
});

/** `PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}`: the same for older servers, in the form that it had. */
export const sendJoinOlder = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v1/send_join/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  body: 'json',
  handler: async ({ params, body, requester }, context: HandshakeContext & JoinAnswerContext) => {
    const joined = await acceptMembership(context, requester.origin, params.roomId, params.eventId, body, 'join');
    return joinAnswer(context, joined, false, true);
  },
});
