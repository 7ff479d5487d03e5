import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { notFound } from '#src/http/errors.ts';
import { queryInteger } from '#src/http/query.ts';

/**
 * `GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}`: the thumbnails of old, without authentication; frozen like
 * {@link frozenDownload}.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3thumbnailservernamemediaid
 */
export const frozenThumbnail = endpoint({
  method: 'GET',
  path: '/_matrix/media/v3/thumbnail/{serverName}/{mediaId}',
  auth: 'none',
  rateLimit: 'media',
  query: z.object({ width: queryInteger({ min: 1 }), height: queryInteger({ min: 1 }) }),
  handler: () => {
    throw notFound('Thumbnails are at /_matrix/client/v1/media/thumbnail, with an access token.');
  },
});
