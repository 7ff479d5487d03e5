import type { Media } from '#projections/media/records.ts';
import { isServerName } from '#protocol/identifiers.ts';
import type { Context } from '#src/context.ts';
import { RawAnswer } from '#src/http/answer.ts';
import { MatrixError, notFound } from '#src/http/errors.ts';
import { parseByteRange } from '#src/media/byte-range.ts';
import { downloadHeaders, UNKNOWN_TYPE } from '#src/media/download-headers.ts';

/** What the media endpoints need. */
export type MediaContext = Pick<Context, 'media' | 'serverName'>;

/** The part of a request that decides how much is sent. */
export interface MediaRequest {
  header(name: string): string | undefined;
}

/** What an `mxc://` URI stands for. @throws {MatrixError} `M_NOT_FOUND`; also for media of other servers. */
export function findMedia({ media, serverName }: MediaContext, mediaServer: string, mediaId: string): Media {
  if (!isServerName(mediaServer) || mediaServer !== serverName) {
    throw notFound('The media of that server cannot be fetched from here.');
  }
  const found = media.find(mediaId);
  if (found === undefined) throw notFound('There is no media of this id.');
  return found;
}

/**
 * The content of a media as an answer: all of it, the part that `Range` asks for, or nothing if the client has it already.
 * @throws {MatrixError} `M_NOT_FOUND` where the file is gone; 416 for a range beyond its end.
 */
export async function answerMedia(
  request: MediaRequest,
  { media }: MediaContext,
  found: Media,
  fileName: string | undefined,
): Promise<RawAnswer> {
  const etag = `"${found.sha256}"`;
  const headers = {
    ...downloadHeaders(found.contentType ?? UNKNOWN_TYPE, fileName),
    'accept-ranges': 'bytes',
    etag,
  };
  if (hasCurrent(request.header('if-none-match'), etag)) {
    return new RawAnswer({ status: 304, headers, body: '' });
  }
  const ifRange = request.header('if-range');
  const asked = ifRange === undefined || ifRange === etag ? request.header('range') : undefined;
  const range = parseByteRange(asked, found.sizeBytes);
  if (range === 'unsatisfiable') {
    throw new MatrixError('M_INVALID_PARAM', 'The media ends before the range begins.', {
      status: 416,
      headers: { 'content-range': `bytes */${found.sizeBytes}` },
    });
  }
  if (range === 'whole') {
    const body = await media.read(found);
    return new RawAnswer({ headers: { ...headers, 'content-length': String(found.sizeBytes) }, body });
  }
  const { start, end } = range;
  return new RawAnswer({
    status: 206,
    headers: {
      ...headers,
      'content-length': String(end - start + 1),
      'content-range': `bytes ${start}-${end}/${found.sizeBytes}`,
    },
    body: await media.read(found, range),
  });
}

function hasCurrent(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag);
}
