import { z } from 'zod';
import { isServerName } from '#protocol/server-name.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryInteger } from '#src/http/query.ts';

/**
 * `GET /_matrix/key/v2/query/{serverName}`: the keys of another server, with our signature beside its own. Older servers put the
 * id of the key that they look for behind it.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2queryservername
 */
export const getQueryServerKeys = endpoint({
  method: 'GET',
  path: '/_matrix/key/v2/query/{serverName}/{keyId}',
  aliases: ['/_matrix/key/v2/query/{serverName}'],
  auth: 'none',
  rateLimit: 'keys',
  query: z.object({ minimum_valid_until_ts: queryInteger().optional() }),
  handler: async ({ params, query }, { federation, clock }: Pick<Context, 'federation' | 'clock'>) => {
    const { serverName, keyId } = params;
    if (!isServerName(serverName)) throw invalidParam('This is not a server name.');
    const validUntilTs = query.minimum_valid_until_ts ?? clock();
    const keys = keyId === '' ? [] : [{ keyId, validUntilTs }];
    return { server_keys: await federation.notary.answersTo([{ serverName, keys, validUntilTs }]) };
  },
});
