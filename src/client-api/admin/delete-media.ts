import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { invalidParam } from '#src/http/errors.ts';

/**
 * `DELETE /_synapse/admin/v1/media/{serverName}/{mediaId}`: serves an upload no more. Its file goes with the next sweep, unless
 * another upload has the same content. The shape is Synapse's, so that its tools work.
 * https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#delete-a-specific-local-media
 */
export const deleteMedia = endpoint({
  method: 'DELETE',
  path: '/_synapse/admin/v1/media/{serverName}/{mediaId}',
  auth: 'admin',
  may: 'media.write',
  audit: { action: 'media.delete' },
  rateLimit: 'none',
  handler: async ({ params }, { media, serverName }: Pick<Context, 'media' | 'serverName'>) => {
    if (params.serverName !== serverName) throw invalidParam('Only media of this server can be removed.');
    await media.remove(params.mediaId);
    return { deleted_media: [params.mediaId], total: 1 };
  },
});
