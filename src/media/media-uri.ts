import { isServerName } from '#protocol/identifiers.ts';

/** A media by its server and its id there. */
export interface MediaName {
  readonly serverName: string;
  readonly mediaId: string;
}

const MEDIA_ID = /^[A-Za-z0-9_-]{1,255}$/;
const MEDIA_URI = /^mxc:\/\/([^/?#]{1,255})\/([^/?#]{1,255})$/;

/** Whether a server and an id can name a media. https://spec.matrix.org/v1.19/client-server-api/#security-considerations-5 */
export function isMediaName({ serverName, mediaId }: MediaName): boolean {
  return isServerName(serverName) && MEDIA_ID.test(mediaId);
}

/** What an `mxc://` URI names; undefined for what is none. */
export function parseMediaUri(uri: string): MediaName | undefined {
  const [, serverName, mediaId] = MEDIA_URI.exec(uri) ?? [];
  if (serverName === undefined || mediaId === undefined) return undefined;
  const name = { serverName, mediaId };
  return isMediaName(name) ? name : undefined;
}
