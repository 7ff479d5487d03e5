import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { claimKeys } from '#src/encryption/claim-keys.ts';
import { objectText } from '#src/encryption/json-text.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import type { UserStreamContext } from '../user-stream.ts';

/**
 * `POST /_matrix/client/v3/keys/claim`: takes one-time keys of devices, to send them something encrypted.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim
 */
export const postKeysClaim = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/claim',
  auth: 'guest',
  rateLimit: 'write',
  body: z.object({
    one_time_keys: z.record(z.string(), z.record(z.string(), z.string())),
    timeout: z.number().optional(),
  }),
  handler: async ({ body, requester }, context: UserStreamContext & Pick<Context, 'remoteKeys'>) => {
    const wanted = new Map<string, ReadonlyMap<string, string>>();
    for (const [userId, ofDevices] of Object.entries(body.one_time_keys)) {
      wanted.set(userId, new Map(Object.entries(ofDevices)));
    }
    const [local, remote] = await Promise.all([
      claimKeys(context, requester.userId, wanted),
      context.remoteKeys.claim(wanted, body.timeout),
    ]);
    const failures = JSON.stringify(Object.fromEntries(remote.failures));
    return jsonTextAnswer(`{"failures":${failures},"one_time_keys":${objectText([...local, ...remote.keys])}}`);
  },
});
