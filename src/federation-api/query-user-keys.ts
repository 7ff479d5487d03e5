import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { keysTextForServers } from './user-keys.ts';

/**
 * `POST /_matrix/federation/v1/user/keys/query`: the keys of users of this server and of their devices.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery
 */
export const queryUserKeys = endpoint({
  method: 'POST',
  path: '/_matrix/federation/v1/user/keys/query',
  auth: 'server',
  rateLimit: 'federation',
  body: z.object({ device_keys: z.record(z.string(), z.array(z.string())) }),
  handler: async ({ body }, { reader }: Pick<Context, 'reader'>) =>
    jsonTextAnswer(await keysTextForServers(reader, body.device_keys)),
});
