import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger } from '#src/http/query.ts';
import { fileNameOf } from '#src/media/download-headers.ts';
import { answerMedia } from './answer-media.ts';
import { DEFAULT_UPLOAD_WAIT_MS, findContent, MAX_UPLOAD_WAIT_MS, type MediaContext } from './served-content.ts';

/**
 * `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}[/{fileName}]`: an uploaded file; the file name is the
 * caller's choice where it is given. Waits a while for an upload that is expected.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid
 */
export const download = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}',
  aliases: ['/_matrix/client/v1/media/download/{serverName}/{mediaId}'],
  auth: 'guest',
  rateLimit: 'media',
  query: z.object({ timeout_ms: queryInteger({ cap: MAX_UPLOAD_WAIT_MS }).default(DEFAULT_UPLOAD_WAIT_MS) }),
  handler: async (request, context: MediaContext) => {
    const { serverName, mediaId, fileName } = request.params;
    const found = await findContent(context, serverName, mediaId, {
      timeoutMs: request.query.timeout_ms,
      stops: () => [request.signal, request.closing],
    });
    return answerMedia(request, found, fileNameOf(fileName) ?? found.fileName);
  },
});
