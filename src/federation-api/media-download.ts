import { z } from 'zod';
import {
  DEFAULT_UPLOAD_WAIT_MS,
  findContent,
  MAX_UPLOAD_WAIT_MS,
  type MediaContext,
} from '#src/client-api/media/served-content.ts';
import { mediaParts } from '#src/federation/media/multipart.ts';
import { RawAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { queryInteger } from '#src/http/query.ts';
import { contentDisposition, UNKNOWN_TYPE } from '#src/media/download-headers.ts';

/**
 * `GET /_matrix/federation/v1/media/download/{mediaId}`: a file that was uploaded here. Waits a while for one that is expected.
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1mediadownloadmediaid
 */
export const mediaDownload = endpoint({
  method: 'GET',
  path: '/_matrix/federation/v1/media/download/{mediaId}',
  auth: 'server',
  rateLimit: 'federation',
  query: z.object({ timeout_ms: queryInteger({ cap: MAX_UPLOAD_WAIT_MS }).default(DEFAULT_UPLOAD_WAIT_MS) }),
  handler: async (request, context: MediaContext) => {
    const found = await findContent(context, context.serverName, request.params.mediaId, {
      timeoutMs: request.query.timeout_ms,
      stops: () => [request.signal, request.closing],
    });
    const contentType = found.contentType ?? UNKNOWN_TYPE;
    const headers = {
      'content-type': contentType,
      'content-disposition': contentDisposition(contentType, found.fileName),
    };
    return new RawAnswer(mediaParts(headers, await found.read(), found.sizeBytes));
  },
});
