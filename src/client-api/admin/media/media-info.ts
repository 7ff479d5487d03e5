import { mediaById } from '#projections/media/projection.ts';
import { quarantinerOf } from '#projections/media/quarantine.ts';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { isMediaName } from '#src/media/media-uri.ts';
import { listedMedia } from './media-json.ts';

/**
 * `GET /_synapse/admin/v1/media/{serverName}/{mediaId}`: what is known of an upload, or of what is kept of another server's.
 * https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#query-a-piece-of-media-by-id
 */
export const mediaInfo = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/media/{serverName}/{mediaId}',
  auth: 'admin',
  may: 'media.read',
  audit: { action: 'media.list' },
  rateLimit: 'none',
  handler: async ({ params }, context: Pick<Context, 'reader' | 'serverName' | 'remoteMedia'>) => {
    if (!isMediaName(params)) throw notFound('There is no media of this id.');
    const known =
      params.serverName === context.serverName ? localInfo(context, params.mediaId) : await remoteInfo(context, params);
    if (known === undefined) throw notFound('This server has no such media.');
    return {
      media_info: {
        media_origin: params.serverName,
        filesystem_id: known.sha256,
        url_cache: null,
        authenticated: true,
        ...known,
      },
    };
  },
});

function localInfo(context: Pick<Context, 'reader' | 'serverName'>, mediaId: string) {
  const stored = mediaById(context.reader, mediaId);
  return stored && { user_id: stored.uploader, ...listedMedia(context, stored), sha256: stored.sha256 };
}

async function remoteInfo(
  { reader, remoteMedia }: Pick<Context, 'reader' | 'remoteMedia'>,
  name: { readonly serverName: string; readonly mediaId: string },
) {
  const cached = await remoteMedia.find(name.serverName, name.mediaId);
  if (cached === undefined) return undefined;
  const { sha256, sizeBytes, contentType, fileName } = cached;
  return {
    user_id: null,
    media_id: name.mediaId,
    created_ts: null,
    last_access_ts: null,
    media_length: sizeBytes,
    media_type: contentType ?? null,
    upload_name: fileName ?? null,
    quarantined_by: quarantinerOf(reader, { ...name, sha256 }) ?? null,
    safe_from_quarantine: null,
    sha256,
  };
}
