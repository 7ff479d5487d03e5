import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { MAX_STATUS_LENGTH, PRESENCE_STATES } from '#src/ephemeral/presence.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { viewerOf } from '#src/sync/client-event.ts';
import { requireSelf } from '../user-stream.ts';

/**
 * `PUT /_matrix/client/v3/presence/{userId}/status`: the user says how they are.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus
 */
export const putStatus = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/presence/{userId}/status',
  auth: 'user',
  rateLimit: 'write',
  body: z.object({ presence: z.enum(PRESENCE_STATES), status_msg: z.string().nullish() }),
  handler: ({ params, body, requester }, { presence }: Pick<Context, 'presence'>) => {
    requireSelf(requester, params.userId);
    const statusMsg = body.status_msg ?? undefined;
    if (statusMsg !== undefined && statusMsg.length > MAX_STATUS_LENGTH) {
      throw invalidParam(`A status message has at most ${MAX_STATUS_LENGTH} characters.`);
    }
    const { userId, deviceKey } = viewerOf(requester);
    presence.set(userId, deviceKey, body.presence, statusMsg === '' ? undefined : statusMsg);
    return {};
  },
});
