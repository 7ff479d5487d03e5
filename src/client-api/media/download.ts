import { endpoint } from '#src/http/endpoint.ts';
import { fileNameOf } from '#src/media/download-headers.ts';
import { answerMedia, findMedia, type MediaContext } from './answer-media.ts';

/**
 * `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}[/{fileName}]`: an uploaded file; the file name is the
 * caller's choice where it is given.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid
 */
export const download = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}',
  aliases: ['/_matrix/client/v1/media/download/{serverName}/{mediaId}'],
  auth: 'guest',
  rateLimit: 'media',
  handler: (request, context: MediaContext) => {
    const { serverName, mediaId, fileName } = request.params;
    const found = findMedia(context, serverName, mediaId);
    return answerMedia(request, context, found, fileNameOf(fileName) ?? found.fileName);
  },
});
