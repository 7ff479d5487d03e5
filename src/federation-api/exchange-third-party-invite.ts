import { z } from 'zod';
import { serverNameOf } from '#protocol/identifiers.ts';
import { jsonObjectSchema, userIdSchema } from '#src/client-api/schemas.ts';
import type { Context } from '#src/context.ts';
import { admittedRoom } from '#src/federation/inbound/admission.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { forbidden, invalidParam } from '#src/http/errors.ts';

/**
 * `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}`: somebody whom a user of this server invited by address turned
 * out to be a user of the calling server.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid
 */
export const exchangeThirdPartyInvite = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v1/exchange_third_party_invite/{roomId}',
  auth: 'server',
  rateLimit: 'federation',
  body: z.object({
    type: z.literal('m.room.member'),
    room_id: z.string(),
    sender: userIdSchema,
    state_key: userIdSchema,
    content: z.object({
      membership: z.literal('invite'),
      third_party_invite: z.object({ signed: jsonObjectSchema }),
    }),
  }),
  handler: async (
    { params, body, requester },
    { reader, serverName, thirdPartyInvites }: Pick<Context, 'reader' | 'serverName' | 'thirdPartyInvites'>,
  ) => {
    const { roomId } = params;
    if (body.room_id !== roomId) throw invalidParam('The event is of another room.');
    admittedRoom(reader, serverName, requester.origin, roomId);
    if (serverNameOf(body.state_key) !== requester.origin) throw forbidden('The user is not one of your server.');
    const { signed } = body.content.third_party_invite;
    await thirdPartyInvites.redeemHere({ roomId, sender: body.sender, target: body.state_key, signed });
    return {};
  },
});
