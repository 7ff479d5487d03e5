import { findContent, type MediaContext } from '#src/client-api/media/served-content.ts';
import { thumbnailOf, thumbnailQuery } from '#src/client-api/media/thumbnail.ts';
import { mediaParts } from '#src/federation/media/multipart.ts';
import { RawAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { contentDisposition, UNKNOWN_TYPE } from '#src/media/download-headers.ts';

/**
 * `GET /_matrix/federation/v1/media/thumbnail/{mediaId}`: an image that was uploaded here, small.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1mediathumbnailmediaid
 */
export const mediaThumbnail = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/media/thumbnail/{mediaId}',
  auth: 'server',
  rateLimit: 'federation',
  query: thumbnailQuery,
  handler: async (request, context: MediaContext) => {
    const found = await findContent(context, context.serverName, request.params.mediaId, {
      timeoutMs: request.query.timeout_ms,
      stops: () => [request.signal, request.closing],
    });
    const made = await thumbnailOf(context, found, request.query);
    const {
      contentType = UNKNOWN_TYPE,
      fileName,
      sizeBytes,
      body,
    } = made === 'original' ? { ...found, body: await found.read() } : made;
    const headers = { 'content-type': contentType, 'content-disposition': contentDisposition(contentType, fileName) };
    return new RawAnswer(mediaParts(headers, body, sizeBytes));
  },
});
