import { z } from 'zod';
import { isJsonObject } from '#protocol/json-object.ts';
import { jsonObjectSchema } from '#src/client-api/schemas.ts';
import { acceptInvite, type InviteContext } from '#src/federation/inbound/invites.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';

/** Room versions for which servers use the older form. Source: server-server API, `PUT /v1/invite`. */
const OLDER_ROOM_VERSION = '1';

/**
 * `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}`: a user of another server invites one of this server.
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid
 */
export const invite = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v2/invite/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  body: z.object({
    event: jsonObjectSchema,
    room_version: z.string(),
    invite_room_state: z.array(jsonObjectSchema).default([]),
  }),
  handler: async ({ params, body, requester }, context: InviteContext) => {
    const { event, room_version: version, invite_room_state: told } = body;
    return { event: await acceptInvite(context, requester.origin, { ...params, event, version, told }) };
  },
});

/** `PUT /_matrix/federation/v1/invite/{roomId}/{eventId}`: the same for rooms of the oldest versions. */
export const inviteOlder = endpoint({
  method: 'PUT',
  path: '/_matrix/federation/v1/invite/{roomId}/{eventId}',
  auth: 'server',
  rateLimit: 'federation',
  body: 'json',
  handler: async ({ params, body: event, requester }, context: InviteContext) => {
    const { unsigned } = event;
    const list = isJsonObject(unsigned) && Array.isArray(unsigned.invite_room_state) ? unsigned.invite_room_state : [];
    const told = list.filter((one) => isJsonObject(one));
    const version = OLDER_ROOM_VERSION;
    const signed = await acceptInvite(context, requester.origin, { ...params, event, version, told });
    return jsonTextAnswer(`[200,{"event":${JSON.stringify(signed)}}]`);
  },
});
