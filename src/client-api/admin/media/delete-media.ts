import { mediaById } from '#projections/media/projection.ts';
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
  audit: {
    action: 'media.delete',
    describe: ({ params }, { reader }: Pick<Context, 'reader'>) => {
      const stored = mediaById(reader, params.mediaId);
      if (stored === undefined) return {};
      const { sha256, sizeBytes, contentType, uploader } = stored;
      return { before: { sha256, size: sizeBytes, content_type: contentType, uploader } };
    },
  },
  rateLimit: 'none',
  handler: async (
    { params, requester },
    { media, serverName, evidence }: Pick<Context, 'media' | 'serverName' | 'evidence'>,
  ) => {
    if (params.serverName !== serverName) throw invalidParam('Only media of this server can be removed.');
    await evidence.captureMedia(params.mediaId, requester.userId);
    await media.remove(params.mediaId);
    return { deleted_media: [params.mediaId], total: 1 };
  },
});
