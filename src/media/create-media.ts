/** Makes the parts that keep, fetch, shrink and forget files. */
import type { Reader } from '#projections/engine/reader.ts';
import { isContentUsed } from '#projections/media/projection.ts';
import type { Config } from '#src/config/schema.ts';
import { dataPaths } from '#src/data-paths.ts';
import type { Logger } from '#src/log/logger.ts';
import { safeConnector } from '#src/net/safe-connector.ts';
import { undici } from '#src/net/undici.ts';
import type { EventLog } from '#streams/event-log.ts';
import { MediaStore } from './media-store.ts';
import { RemoteMedia, type RemoteMediaSource } from './remote-media.ts';
import { MediaSweep } from './sweep.ts';
import { Thumbnailer } from './thumbnailer.ts';
import { UrlPreviews } from './url-preview/url-previews.ts';

export interface MediaPartsOptions {
  readonly config: Config;
  readonly log: EventLog;
  readonly reader: Reader;
  readonly serverName: string;
  /** Where media of other servers come from; undefined where they are not asked. */
  readonly source: RemoteMediaSource | undefined;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly newRecordId: () => Uint8Array;
  readonly logger: Logger;
}

export interface MediaParts {
  readonly media: MediaStore;
  readonly remoteMedia: RemoteMedia;
  readonly thumbnails: Thumbnailer;
  /** Undefined where links are not previewed. */
  readonly urlPreviews: UrlPreviews | undefined;
  /** Removes a file that nothing refers to any more, with what was made of it. Resolves with whether it did. */
  readonly removeFile: (sha256: string) => Promise<boolean>;
  close(): Promise<void>;
}

export function createMedia(options: MediaPartsOptions): MediaParts {
  const { config, log, reader, serverName, source, clock, newRecordId, logger } = options;
  const paths = dataPaths(config.data_dir);
  const media = new MediaStore({ log, reader, config, clock, newRecordId });
  const thumbnails = new Thumbnailer(paths.thumbnails);
  const remoteMedia = new RemoteMedia({
    folder: paths.remoteMedia,
    maxCacheBytes: config.media.remote_cache,
    maxFileBytes: config.media.max_upload,
  });
  if (source !== undefined) remoteMedia.fetchFrom(source);
  remoteMedia.onDropped(async (sha256) => {
    if (!isContentUsed(reader, sha256)) await thumbnails.removeAll(sha256);
  });
  const { url_previews: previews } = config.media;
  const previewAgent = previews.enabled
    ? new (undici().Agent)({ connect: safeConnector({ allowPrivate: previews.allow_private_addresses }) })
    : undefined;
  const urlPreviews =
    previewAgent && new UrlPreviews({ media, thumbnails, serverName, dispatcher: previewAgent, clock });
  const sweep = new MediaSweep({ media, thumbnails, reader, logger });
  sweep.start();
  return {
    media,
    remoteMedia,
    thumbnails,
    urlPreviews,
    removeFile: async (sha256) => {
      const isNeeded = (): boolean => isContentUsed(reader, sha256) || media.isUnrecorded(sha256);
      if (isNeeded() || !(await media.files.removeUnless(sha256, isNeeded))) return false;
      await thumbnails.removeAll(sha256);
      return true;
    },
    close: async () => {
      sweep[Symbol.dispose]();
      await previewAgent?.destroy();
    },
  };
}
