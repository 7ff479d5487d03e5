import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint, type Requester } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';
import { contentTypeOf, fileNameOf } from '#src/media/download-headers.ts';
import type { UploadInfo } from '#src/media/media-store.ts';

/**
 * `POST /_matrix/media/v3/upload`: stores a file, and gives the `mxc://` URI under which everybody can fetch it.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload
 */
export const upload = endpoint({
  method: 'POST',
  path: '/_matrix/media/v3/upload',
  auth: 'user',
  rateLimit: 'media',
  query: z.object({ filename: queryText().optional() }),
  body: 'stream',
  handler: async (request, { media, serverName }: Pick<Context, 'media' | 'serverName'>) => {
    const { mediaId } = await media.upload(request.body, uploadInfo(request, request.query.filename));
    return { content_uri: `mxc://${serverName}/${mediaId}` };
  },
});

/** What a request says about the file that it brings. */
export function uploadInfo(
  request: { readonly requester: Requester; header(name: string): string | undefined },
  fileName: string | undefined,
): UploadInfo {
  const length = Number(request.header('content-length'));
  return {
    uploader: request.requester.userId,
    contentType: contentTypeOf(request.header('content-type')),
    fileName: fileNameOf(fileName),
    announcedBytes: Number.isSafeInteger(length) ? length : undefined,
  };
}
