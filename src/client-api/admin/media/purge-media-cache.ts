import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger } from '#src/http/query.ts';

/**
 * `POST /_synapse/admin/v1/purge_media_cache`: drops media of other servers that nobody has asked for since a time and that are not on
 * hold. Whoever asks again gets them from there again.
 * https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#purge-remote-media-api
 */
export const purgeMediaCache = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/purge_media_cache',
  auth: 'admin',
  may: 'media.write',
  rateLimit: 'none',
  query: z.object({ before_ts: queryInteger() }),
  audit: { action: 'media.purge', describe: ({ query }) => ({ after: query }) },
  handler: async ({ query }, { remoteMedia }: Pick<Context, 'remoteMedia'>) => ({
    deleted: await remoteMedia.dropUnusedSince(query.before_ts),
  }),
});
