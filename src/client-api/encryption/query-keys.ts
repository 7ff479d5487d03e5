import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { queryKeys } from '#src/encryption/query-keys.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `POST /_matrix/client/v3/keys/query`: the keys of devices and users.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
 */
export const postKeysQuery = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/keys/query',
  auth: 'guest',
  rateLimit: 'read',
  body: z.object({ device_keys: z.record(z.string(), z.array(z.string())), timeout: z.number().optional() }),
  handler: async ({ body, requester }, { reader, remoteKeys }: Pick<Context, 'reader' | 'remoteKeys'>) => {
    const remote = await remoteKeys.query(body.device_keys, body.timeout);
    return jsonTextAnswer(await queryKeys(reader, requester.userId, body.device_keys, remote));
  },
});
