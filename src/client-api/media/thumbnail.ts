import { z } from 'zod';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryChoice, queryFlag, queryInteger } from '#src/http/query.ts';
import { ANIMATION_HEAD_BYTES, isAnimated } from '#src/media/animation.ts';
import { essenceOf, UNKNOWN_TYPE } from '#src/media/download-headers.ts';
import { answerMedia, findMedia, type MediaContext } from './answer-media.ts';

/** The largest image that is sent as its own thumbnail: one that a phone still shows in a list. */
export const MAX_THUMBNAIL_BYTES = 32 * 1024 * 1024;

/** Images that every client shows. */
const IMAGE_TYPES: ReadonlySet<string> = new Set([
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
]);

/**
 * `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`: an image to show small. This server makes no smaller
 * images: a thumbnail may be larger than asked for, so it is the image itself, and what is no image has none.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid
 */
export const thumbnail = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}',
  auth: 'guest',
  rateLimit: 'media',
  query: z.object({
    width: queryInteger({ min: 1 }),
    height: queryInteger({ min: 1 }),
    method: queryChoice(['crop', 'scale']).optional(),
    animated: queryFlag().optional(),
  }),
  handler: async (request, context: MediaContext) => {
    const { params, query } = request;
    const found = findMedia(context, params.serverName, params.mediaId);
    if (!IMAGE_TYPES.has(essenceOf(found.contentType ?? UNKNOWN_TYPE))) throw cannot('There is no thumbnail of this.');
    if (found.sizeBytes > MAX_THUMBNAIL_BYTES) throw new MatrixError('M_TOO_LARGE', 'The image is too large.');
    if (query.animated === false && isAnimated(await context.media.readHead(found, ANIMATION_HEAD_BYTES))) {
      throw cannot('There is no still thumbnail of this image.');
    }
    return answerMedia(request, context, found, found.fileName);
  },
});

function cannot(message: string): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 400 });
}
