import type { Readable } from 'node:stream';
import { isServerName } from '#protocol/identifiers.ts';
import { mediaTopic } from '#src/bus/bus.ts';
import { Waiter } from '#src/bus/wait.ts';
import type { Context } from '#src/context.ts';
import { MatrixError, notFound } from '#src/http/errors.ts';
import type { ByteRange } from '#src/media/content-files.ts';
import { refuseHidden } from '#src/media/quarantine.ts';
import { StopSignal } from '#src/sync/stop-signal.ts';

/** What the endpoints that serve media need. */
export type MediaContext = Pick<Context, 'media' | 'remoteMedia' | 'thumbnails' | 'bus' | 'serverName' | 'reader'>;

/** Most of an `mxc://` id. */
const MEDIA_ID = /^[A-Za-z0-9_-]{1,255}$/;
/** How long a client waits for an upload to come that does not say. Source: the endpoint's specification. */
export const DEFAULT_UPLOAD_WAIT_MS = 20_000;
/** The longest that a client may wait for it. */
export const MAX_UPLOAD_WAIT_MS = 60_000;

/** A media, of whichever server, that can be served. */
export interface ServedContent {
  readonly sizeBytes: number;
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
  /** SHA-256 of the content, lower-case hex. */
  readonly sha256: string;
  readonly path: string;
  /** Names the content in the thumbnail store. */
  readonly thumbnailKey: string;
  /** @throws {MatrixError} `M_NOT_FOUND` where the file is gone. */
  read(range?: ByteRange): Promise<Readable>;
}

/** For how long somebody waits for an upload, and what ends that sooner. */
export interface UploadWait {
  readonly timeoutMs: number;
  readonly stops: () => readonly AbortSignal[];
}

/**
 * What an `mxc://` URI stands for.
 * @throws {MatrixError} `M_NOT_FOUND`, also for what is in quarantine; `M_NOT_YET_UPLOADED` where the upload did not come in time; what other servers answer.
 */
export async function findContent(
  context: MediaContext,
  mediaServer: string,
  mediaId: string,
  wait: UploadWait,
): Promise<ServedContent> {
  if (!isServerName(mediaServer) || !MEDIA_ID.test(mediaId)) throw notFound('There is no media of this id.');
  return mediaServer === context.serverName
    ? localContent(context, mediaId, wait)
    : remoteContent(context, mediaServer, mediaId, wait.timeoutMs);
}

async function localContent(context: MediaContext, mediaId: string, wait: UploadWait): Promise<ServedContent> {
  const { media } = context;
  if (media.isAwaited(mediaId)) await waitForUpload(context, mediaId, wait);
  const found = media.find(mediaId);
  if (found === undefined) {
    if (media.isAwaited(mediaId)) throw new MatrixError('M_NOT_YET_UPLOADED');
    throw notFound('There is no media of this id.');
  }
  refuseHidden(context, { serverName: context.serverName, mediaId, sha256: found.sha256 });
  return {
    ...found,
    path: media.files.path(found.sha256),
    thumbnailKey: found.sha256,
    read: (range) => media.read(found, range),
  };
}

async function remoteContent(
  context: MediaContext,
  mediaServer: string,
  mediaId: string,
  timeoutMs: number,
): Promise<ServedContent> {
  const { remoteMedia } = context;
  // What is known to be hidden is not even fetched; what turns out to be the same content is not shown.
  refuseHidden(context, { serverName: mediaServer, mediaId });
  const cached = await remoteMedia.get(mediaServer, mediaId, timeoutMs);
  refuseHidden(context, { serverName: mediaServer, mediaId, sha256: cached.sha256 });
  return { ...cached, thumbnailKey: cached.sha256, read: (range) => remoteMedia.read(cached, range) };
}

async function waitForUpload({ media, bus }: MediaContext, mediaId: string, wait: UploadWait): Promise<void> {
  using waiter = new Waiter(bus, [mediaTopic(mediaId)]);
  // It may have come just before.
  if (!media.isAwaited(mediaId)) return;
  using stop = new StopSignal(wait.stops());
  await waiter.wait({ timeoutMs: wait.timeoutMs, signal: stop.signal });
}
