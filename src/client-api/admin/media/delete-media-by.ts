import { z } from 'zod';
import { media, storedMedia } from '#projections/media/projection.ts';
import { BY_SERVER } from '#projections/media/records.ts';
import { profiles } from '#projections/profiles/projection.ts';
import { stateContent } from '#projections/rooms/queries.ts';
import { rooms } from '#projections/rooms/tables.ts';
import { removeMedia } from '#src/admin/remove-media.ts';
import { mediaOfContent } from '#src/admin/room-media.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';
import { queryFlag, queryInteger } from '#src/http/query.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { gathered } from '../paging.ts';

/**
 * `POST /_synapse/admin/v1/media/delete`: removes uploads that came before a time and are larger than a size; without
 * `keep_profiles=false` not those that are the picture of a user or a room. This server keeps no record of who looks at what, so the time
 * is that of the upload.
 * https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#delete-local-media-by-date-or-size
 */
export const deleteMediaBy = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/media/{serverName}/delete',
  aliases: ['/_synapse/admin/v1/media/delete'],
  auth: 'admin',
  may: 'media.write',
  rateLimit: 'none',
  query: z.object({
    before_ts: queryInteger(),
    size_gt: queryInteger().default(0),
    keep_profiles: queryFlag().default(true),
  }),
  audit: {
    action: 'media.delete',
    describe: ({ params, query }, { serverName }: Pick<Context, 'serverName'>) => {
      if (params.serverName !== '' && params.serverName !== serverName) {
        throw invalidParam('Only media of this server can be removed.');
      }
      return { after: query };
    },
  },
  handler: async ({ query, requester }, context: Pick<Context, 'reader' | 'serverName' | 'media' | 'evidence'>) => {
    const { reader, serverName } = context;
    const pictures = query.keep_profiles ? await picturesInUse(context) : new Set<string>();
    const wanted = await gathered(reader, media, sharedPacer, ([mediaId], row) => {
      const { uploader, uploadedAtMs, sizeBytes } = storedMedia(mediaId, row);
      // What the server made for itself goes by itself.
      const isAskedFor = uploader !== BY_SERVER && uploadedAtMs < query.before_ts && sizeBytes > query.size_gt;
      return isAskedFor && !pictures.has(`mxc://${serverName}/${mediaId}`) ? mediaId : undefined;
    });
    return removeMedia(context, wanted, requester.userId);
  },
});

/** The `mxc://` URIs that are pictures of users of this server or of rooms. */
async function picturesInUse({ reader }: Pick<Context, 'reader'>): Promise<Set<string>> {
  const found = new Set<string>();
  await gathered(reader, profiles, sharedPacer, (_, profile) => {
    const { avatar_url: avatar } = profile;
    if (typeof avatar === 'string') found.add(avatar);
    return undefined;
  });
  await gathered(reader, rooms, sharedPacer, ([room]) => {
    for (const uri of mediaOfContent(stateContent(reader, room, 'm.room.avatar', '') ?? {})) found.add(uri);
    return undefined;
  });
  return found;
}
