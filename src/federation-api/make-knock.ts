import { z } from 'zod';
import { type HandshakeContext, makeMembership } from '#src/federation/inbound/handshakes.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryTexts } from '#src/http/query.ts';

/**
 * `GET /_matrix/federation/v1/make_knock/{roomId}/{userId}`: an event with which a user of another server may knock on the room, to be signed.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_knockroomiduserid
 */
export const makeKnock = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/make_knock/{roomId}/{userId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ ver: queryTexts().default(['1']) }),
  handler: ({ params, query, requester }, context: HandshakeContext) =>
    makeMembership(context, requester.origin, params.roomId, params.userId, 'knock', query.ver),
});
