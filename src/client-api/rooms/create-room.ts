import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { createRoom as create } from '#src/rooms/create-room.ts';
import { jsonObjectSchema, userIdSchema } from '../schemas.ts';
import { addressOf, addressSchema } from './third-party-address.ts';

/** People that one request may invite. */
const MAX_INVITEES = 500;
/** Of these, those of whom only an address is known: each costs two requests to an identity server. */
const MAX_ADDRESSES = 20;
/** State events that one request may bring along. */
const MAX_INITIAL_STATE_EVENTS = 1000;

const body = z.object({
  visibility: z.enum(['public', 'private']).default('private'),
  room_alias_name: z.string().nullish(),
  name: z.string().nullish(),
  topic: z.string().nullish(),
  invite: z.array(userIdSchema).max(MAX_INVITEES).default([]),
  invite_3pid: z.array(addressSchema).max(MAX_ADDRESSES).default([]),
  room_version: z.string().nullish(),
  creation_content: jsonObjectSchema.default({}),
  initial_state: z
    .array(z.object({ type: z.string(), state_key: z.string().default(''), content: jsonObjectSchema }))
    .max(MAX_INITIAL_STATE_EVENTS)
    .default([]),
  preset: z.enum(['private_chat', 'public_chat', 'trusted_private_chat']).nullish(),
  is_direct: z.boolean().default(false),
  power_level_content_override: jsonObjectSchema.default({}),
});

/**
 * `POST /_matrix/client/v3/createRoom`: makes a room.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export const createRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/createRoom',
  auth: 'user',
  rateLimit: 'write',
  body,
  handler: async ({ body: request, requester }, context: Context) => ({
    room_id: await create(context, requester.userId, {
      visibility: request.visibility,
      preset: request.preset ?? undefined,
      aliasLocalpart: request.room_alias_name ?? undefined,
      name: request.name ?? undefined,
      topic: request.topic ?? undefined,
      // Who is shadow-banned may have rooms, but brings nobody into them.
      invitees: requester.isShadowBanned === true ? [] : request.invite,
      addresses: requester.isShadowBanned === true ? [] : request.invite_3pid.map(addressOf),
      roomVersion: request.room_version ?? undefined,
      creationContent: request.creation_content,
      initialState: request.initial_state.map(({ type, state_key, content }) => ({
        type,
        stateKey: state_key,
        content,
      })),
      isDirect: request.is_direct,
      powerLevelContentOverride: request.power_level_content_override,
    }),
  }),
});
