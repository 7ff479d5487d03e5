import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { upgradeRoom } from '#src/rooms/upgrade.ts';
import { userIdSchema } from '../schemas.ts';

/** Creators that one request may name. */
const MAX_ADDITIONAL_CREATORS = 500;

/**
 * `POST /_matrix/client/v3/rooms/{roomId}/upgrade`: replaces a room by one of another version.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade
 */
export const upgrade = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/{roomId}/upgrade',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({
    new_version: z.string(),
    additional_creators: z.array(userIdSchema).max(MAX_ADDITIONAL_CREATORS).default([]),
  }),
  handler: async ({ params, body, requester }, context: Context) => ({
    replacement_room: await upgradeRoom(context, {
      userId: requester.userId,
      roomId: params.roomId,
      version: body.new_version,
      additionalCreators: [...new Set(body.additional_creators)].filter((userId) => userId !== requester.userId),
    }),
  }),
});
