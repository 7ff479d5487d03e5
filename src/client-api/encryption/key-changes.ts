import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { deviceListNews } from '#src/encryption/device-list-news.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';
import { stillSeen } from '#src/sync/log-lives.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { parseSyncToken } from '#src/sync/tokens.ts';

/**
 * `GET /_matrix/client/v3/keys/changes`: whose devices have changed between two tokens of `/sync`.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges
 */
export const getKeyChanges = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/keys/changes',
  auth: 'user',
  rateLimit: 'read',
  query: z.object({ from: queryText(), to: queryText() }),
  handler: async ({ query, requester }, { reader }: Pick<Context, 'reader'>) => {
    const from = stillSeen(reader, parseSyncToken(query.from)).token.position;
    const to = stillSeen(reader, parseSyncToken(query.to));
    const { changed, left } = await deviceListNews({
      reader,
      viewer: requester.userId,
      since: Math.min(from, reader.frontier),
      upTo: to.isCut ? reader.frontier : Math.min(to.token.position, reader.frontier),
      memberships: undefined,
      pacer: sharedPacer,
    });
    return { changed: [...changed], left: [...left] };
  },
});
