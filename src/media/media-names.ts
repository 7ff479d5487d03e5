/** Finds `mxc://` URIs in what people wrote, and names media by digests. */
import { createHash } from 'node:crypto';
import type { MediaName } from './media-uri.ts';

const SCHEME = 'mxc:';
/** In JSON text, where a slash may be escaped, or inside of HTML in it. */
const MEDIA_URI = /mxc:(?:\\?\/){2}([^/?#"'\\\s<>]{1,255})\\?\/([A-Za-z0-9_-]{1,255})/g;

/** The media that a text names, as often as it does. Bytes are taken for UTF-8. */
export function* mediaNamesIn(text: string | Uint8Array): Generator<MediaName> {
  const isNaming =
    typeof text === 'string'
      ? text.includes(SCHEME)
      : Buffer.from(text.buffer, text.byteOffset, text.byteLength).includes(SCHEME);
  if (!isNaming) return;
  // Names are ASCII: whatever else there is need not be decoded.
  const decoded = typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
  for (const [, serverName, mediaId] of decoded.matchAll(MEDIA_URI)) {
    if (serverName !== undefined && mediaId !== undefined) yield { serverName, mediaId };
  }
}

/** Names a media by a SHA-256 in lower-case hex: its id may hold what no file name can, and its name is nobody's business. */
export function mediaKey({ serverName, mediaId }: MediaName): string {
  return createHash('sha256').update(`${serverName}/${mediaId}`).digest('hex');
}
