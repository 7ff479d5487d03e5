import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { RawAnswer } from '#src/http/answer.ts';
import { endpoint } from '#src/http/endpoint.ts';
import { MatrixError } from '#src/http/errors.ts';
import { queryChoice, queryFlag, queryInteger } from '#src/http/query.ts';
import { downloadHeaders, essenceOf, UNKNOWN_TYPE } from '#src/media/download-headers.ts';
import { sizeFor, type ThumbnailSize } from '#src/media/thumbnail-size.ts';
import { answerMedia } from './answer-media.ts';
import {
  DEFAULT_UPLOAD_WAIT_MS,
  findContent,
  MAX_UPLOAD_WAIT_MS,
  type MediaContext,
  type ServedContent,
} from './served-content.ts';

/** What a thumbnail may be. Source: the endpoint's specification; an image of another kind is made into one of these. */
const THUMBNAIL_TYPES: ReadonlySet<string> = new Set([
  'image/jpeg',
  'image/png',
  'image/apng',
  'image/gif',
  'image/webp',
]);

/** What is asked of a thumbnail, by clients and by other servers. */
export const thumbnailQuery = z.object({
  width: queryInteger({ min: 1 }),
  height: queryInteger({ min: 1 }),
  method: queryChoice(['crop', 'scale']).default('scale'),
  animated: queryFlag().default(false),
  timeout_ms: queryInteger({ cap: MAX_UPLOAD_WAIT_MS }).default(DEFAULT_UPLOAD_WAIT_MS),
});

/**
 * `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`: an image to show small, in the next larger of a few sizes.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid
 */
export const thumbnail = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}',
  auth: 'guest',
  rateLimit: 'media',
  query: thumbnailQuery,
  handler: async (request, context: MediaContext) => {
    const { params, query } = request;
    const found = await findContent(context, params.serverName, params.mediaId, {
      timeoutMs: query.timeout_ms,
      stops: () => [request.signal, request.closing],
    });
    const made = await thumbnailOf(context, found, query);
    if (made === 'original') return answerMedia(request, found, found.fileName);
    return new RawAnswer({
      headers: {
        ...downloadHeaders(made.contentType, made.fileName),
        'content-length': String(made.sizeBytes),
      },
      body: made.body,
    });
  },
});

/** A thumbnail as it is sent. */
export interface ReadThumbnail {
  readonly contentType: string;
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly body: Readable;
}

/**
 * A content in the next larger of a few sizes; `original` where it is an image that is small enough itself.
 * @throws {MatrixError} `M_UNKNOWN` (400) for what is no image, and as {@link Thumbnailer.of}.
 */
export async function thumbnailOf(
  { thumbnails }: Pick<MediaContext, 'thumbnails'>,
  found: ServedContent,
  asked: ThumbnailSize & { readonly animated: boolean },
): Promise<ReadThumbnail | 'original'> {
  const image = { path: found.path, key: found.thumbnailKey, sizeBytes: found.sizeBytes };
  const made = await thumbnails.of(image, sizeFor(asked), asked.animated);
  if (made.kind === 'made') {
    const { path, contentType, sizeBytes } = made;
    const body = createReadStream('', { fd: await open(path, 'r') });
    return { contentType, sizeBytes, body, fileName: `thumbnail.${contentType.slice('image/'.length)}` };
  }
  if (THUMBNAIL_TYPES.has(essenceOf(found.contentType ?? UNKNOWN_TYPE))) return 'original';
  throw new MatrixError('M_UNKNOWN', 'No thumbnail can be made of this.', { status: 400 });
}
