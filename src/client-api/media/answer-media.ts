import { RawAnswer } from '#src/http/answer.ts';
import { MatrixError } from '#src/http/errors.ts';
import { parseByteRange } from '#src/media/byte-range.ts';
import { downloadHeaders, UNKNOWN_TYPE } from '#src/media/download-headers.ts';
import type { ServedContent } from './served-content.ts';

/** The part of a request that decides how much is sent. */
export interface MediaRequest {
  header(name: string): string | undefined;
}

/**
 * A content as an answer: all of it, the part that `Range` asks for, or nothing if the client has it already.
 * @throws {MatrixError} `M_NOT_FOUND` where the file is gone; 416 for a range beyond its end.
 */
export async function answerMedia(
  request: MediaRequest,
  content: Pick<ServedContent, 'sizeBytes' | 'contentType' | 'sha256' | 'read'>,
  fileName: string | undefined,
): Promise<RawAnswer> {
  const etag = `"${content.sha256}"`;
  const headers = {
    ...downloadHeaders(content.contentType ?? UNKNOWN_TYPE, fileName),
    'accept-ranges': 'bytes',
    etag,
  };
  if (hasCurrent(request.header('if-none-match'), etag)) {
    return new RawAnswer({ status: 304, headers, body: '' });
  }
  const ifRange = request.header('if-range');
  const asked = ifRange === undefined || ifRange === etag ? request.header('range') : undefined;
  const range = parseByteRange(asked, content.sizeBytes);
  if (range === 'unsatisfiable') {
    throw new MatrixError('M_INVALID_PARAM', 'The media ends before the range begins.', {
      status: 416,
      headers: { 'content-range': `bytes */${content.sizeBytes}` },
    });
  }
  if (range === 'whole') {
    const body = await content.read();
    return new RawAnswer({ headers: { ...headers, 'content-length': String(content.sizeBytes) }, body });
  }
  const { start, end } = range;
  return new RawAnswer({
    status: 206,
    headers: {
      ...headers,
      'content-length': String(end - start + 1),
      'content-range': `bytes ${start}-${end}/${content.sizeBytes}`,
    },
    body: await content.read(range),
  });
}

function hasCurrent(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag);
}
