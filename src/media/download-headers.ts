/** What a download says about itself, so that a browser does nothing foolish with what strangers uploaded. */

/** https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content */
const INLINE_TYPES: ReadonlySet<string> = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/x-pn-wav',
  'audio/flac',
  'audio/x-flac',
]);

/** https://spec.matrix.org/v1.19/client-server-api/#content-repository */
const CONTENT_SECURITY_POLICY =
  "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';";

/** What a client that said nothing uploaded. */
export const UNKNOWN_TYPE = 'application/octet-stream';
/** Longest content type that is kept. */
const MAX_CONTENT_TYPE_LENGTH = 255;
/** Longest file name that is kept, in UTF-16 code units. */
const MAX_FILE_NAME_LENGTH = 255;

const CONTENT_TYPE = /^[\w!#$&^.+*'`|~%-]+\/[\w!#$&^.+*'`|~%-]+(\s*;[\x20-\x7e]*)?$/;
/** Characters that a quoted string can have as they are. */
const PLAIN_NAME = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get into a header.
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;

/** The content type of an upload, or undefined if what the client said is none. */
export function contentTypeOf(given: string | undefined): string | undefined {
  const trimmed = given?.trim();
  if (trimmed === undefined || trimmed.length > MAX_CONTENT_TYPE_LENGTH || !CONTENT_TYPE.test(trimmed))
    return undefined;
  return trimmed;
}

/** The file name of an upload as it is kept: without what cannot be in a header, and not too long; undefined if nothing is left. */
export function fileNameOf(given: string | undefined): string | undefined {
  const name = given?.replace(CONTROLS, '').slice(0, MAX_FILE_NAME_LENGTH).toWellFormed();
  return name === '' ? undefined : name;
}

/** `image/png` of `Image/PNG; x=y`. */
export function essenceOf(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();
}

/** The headers of a download, names in lower case; without its length. */
export function downloadHeaders(contentType: string, fileName: string | undefined): Record<string, string> {
  return {
    'content-type': contentType,
    'content-disposition': contentDisposition(contentType, fileName),
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'cross-origin-resource-policy': 'cross-origin',
    'x-content-type-options': 'nosniff',
    // What a media id stands for never changes; only the user's own cache may keep it.
    'cache-control': 'private, max-age=86400, immutable',
  };
}

/** `inline` only for types that no browser runs; everything else is to be saved. */
export function contentDisposition(contentType: string, fileName: string | undefined): string {
  const disposition = INLINE_TYPES.has(essenceOf(contentType)) ? 'inline' : 'attachment';
  if (fileName === undefined) return disposition;
  if (PLAIN_NAME.test(fileName)) return `${disposition}; filename="${fileName}"`;
  return `${disposition}; filename*=utf-8''${encodeExtended(fileName)}`;
}

/** RFC 8187 §3.2.1: what `encodeURIComponent` leaves alone and that is not allowed there. */
function encodeExtended(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
