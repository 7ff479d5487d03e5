import { z } from 'zod';
import type { Context } from '#src/context.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryText } from '#src/http/query.ts';
import { contentTypeOf, fileNameOf } from '#src/media/download-headers.ts';

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
    const length = Number(request.header('content-length'));
    const { mediaId } = await media.upload(request.body, {
      uploader: request.requester.userId,
      contentType: contentTypeOf(request.header('content-type')),
      fileName: fileNameOf(request.query.filename),
      announcedBytes: Number.isSafeInteger(length) ? length : undefined,
    });
    return { content_uri: `mxc://${serverName}/${mediaId}` };
  },
});
