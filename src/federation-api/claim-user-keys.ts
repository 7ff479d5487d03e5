import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { claimKeys } from '#src/encryption/claim-keys.ts';
import { objectText } from '#src/encryption/json-text.ts';
import { jsonTextAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `POST /_matrix/federation/v1/user/keys/claim`: takes one-time keys of devices of this server, for a user of the other.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim
 */
export const claimUserKeys = endpoint({
  method: 'POST',
  path: '/_matrix/federation/v1/user/keys/claim',
  auth: 'server',
  rateLimit: 'federation',
  body: z.object({ one_time_keys: z.record(z.string(), z.record(z.string(), z.string())) }),
  handler: async ({ body, requester }, context: Pick<Context, 'commands' | 'reader' | 'newRecordId'>) => {
    const wanted = Object.entries(body.one_time_keys).map(
      ([userId, ofDevices]) => [userId, new Map(Object.entries(ofDevices))] as const,
    );
    // Which user of the other server asks is not said.
    const keys = await claimKeys(context, requester.origin, new Map(wanted));
    return jsonTextAnswer(`{"one_time_keys":${objectText(keys)}}`);
  },
});
