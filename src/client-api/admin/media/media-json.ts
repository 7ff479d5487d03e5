import type { StoredMedia } from '#projections/media/projection.ts';
import { isProtectedMedia, quarantinerOf } from '#projections/media/quarantine.ts';
import type { Context } from '#src/context.ts';

/** An upload as Synapse's lists of media have it. */
export interface ListedMedia {
  readonly media_id: string;
  readonly created_ts: number;
  /** Always null: this server keeps no record of who looks at what. */
  readonly last_access_ts: null;
  readonly media_length: number;
  readonly media_type: string | null;
  readonly upload_name: string | null;
  readonly quarantined_by: string | null;
  readonly safe_from_quarantine: boolean;
}

/** An upload of this server in a list. */
export function listedMedia(
  { reader, serverName }: Pick<Context, 'reader' | 'serverName'>,
  { mediaId, sha256, sizeBytes, contentType, fileName, uploadedAtMs }: StoredMedia,
): ListedMedia {
  const isSafe = isProtectedMedia(reader, mediaId);
  return {
    media_id: mediaId,
    created_ts: uploadedAtMs,
    last_access_ts: null,
    media_length: sizeBytes,
    media_type: contentType ?? null,
    upload_name: fileName ?? null,
    quarantined_by: quarantinerOf(reader, { serverName, mediaId, ...(!isSafe && { sha256 }) }) ?? null,
    safe_from_quarantine: isSafe,
  };
}
