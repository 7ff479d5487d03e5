import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';

/**
 * `GET /_matrix/media/v3/download/{serverName}/{mediaId}[/{fileName}]`: the download of old, without authentication. It is
 * frozen, as the specification wants it: all that has been uploaded here is newer than the freeze.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3downloadservernamemediaid
 */
export const frozenDownload = endpoint({
  method: 'GET',
  path: '/_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}',
  aliases: ['/_matrix/media/v3/download/{serverName}/{mediaId}'],
  auth: 'none',
  rateLimit: 'media',
  handler: () => {
    throw notFound('Media can be downloaded at /_matrix/client/v1/media/download, with an access token.');
  },
});
