import { z } from 'zod';
import type { Context } from '#src/context.ts';
import type { NotaryQuery } from '#src/federation/keys/notary.ts';
import { endpoint } from '#src/http/endpoint.ts';

/**
 * `POST /_matrix/key/v2/query`: the keys of other servers, as they said and with our signature beside theirs.
 * https://spec.matrix.org/v1.19/server-server-api/#post_matrixkeyv2query
 */
export const postQueryServerKeys = endpoint({
  method: 'POST',
  path: '/_matrix/key/v2/query',
  auth: 'none',
  rateLimit: 'keys',
  body: z.object({
    server_keys: z.record(
      z.string(),
      z.record(z.string(), z.object({ minimum_valid_until_ts: z.number().int().nonnegative().nullish() })),
    ),
  }),
  handler: async ({ body }, { federation, clock }: Pick<Context, 'federation' | 'clock'>) => {
    const now = clock();
    const queries: NotaryQuery[] = Object.entries(body.server_keys).map(([serverName, criteria]) => ({
      serverName,
      keys: Object.entries(criteria).map(([keyId, { minimum_valid_until_ts: wanted }]) => ({
        keyId,
        validUntilTs: wanted ?? now,
      })),
      validUntilTs: now,
    }));
    return { server_keys: await federation.notary.answersTo(queries) };
  },
});
