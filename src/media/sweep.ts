/**
 * Takes away the files of media that nothing refers to: what was removed, and what a crash left without a record; and what the
 * server stored by itself for previews, after a while.
 */
import type { Reader } from '#projections/engine/reader.ts';
import { isContentUsed, serverMediaBefore } from '#projections/media/projection.ts';
import type { Logger } from '#src/log/logger.ts';
import type { MediaStore } from './media-store.ts';
import type { Thumbnailer } from './thumbnailer.ts';

/** How long after a content was complete it is left alone, whatever refers to it. */
export const SWEEP_GRACE_MS = 60 * 60 * 1000;
/** How long what the server stored by itself is kept. */
export const SERVER_MEDIA_LIFETIME_MS = 7 * 24 * 60 * 60 * 1000;
/** How often it is looked for such files. */
export const SWEEP_INTERVAL_MS = 24 * 60 * 60 * 1000;
/** How long after the start it is done for the first time: there is enough to do then. */
const FIRST_SWEEP_MS = 10 * 60 * 1000;

export interface MediaSweepOptions {
  readonly media: MediaStore;
  readonly thumbnails: Thumbnailer;
  readonly reader: Reader;
  /** The clock of the file system: milliseconds since the epoch. */
  readonly clock?: () => number;
  readonly logger: Logger;
}

export class MediaSweep implements Disposable {
  readonly #options: MediaSweepOptions;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: MediaSweepOptions) {
    this.#options = options;
  }

  /** Sweeps now and then from now on. */
  start(): void {
    this.#schedule(FIRST_SWEEP_MS);
  }

  /** Removes the files of contents that nothing refers to; gives how many. */
  async sweep(): Promise<number> {
    const { media, thumbnails, reader, clock = Date.now } = this.#options;
    let removed = 0;
    for (const mediaId of [...serverMediaBefore(reader, clock() - SERVER_MEDIA_LIFETIME_MS)]) {
      if (this.#isStopped) return removed;
      await media.remove(mediaId);
    }
    for await (const sha256 of media.files.namedBefore(clock() - SWEEP_GRACE_MS)) {
      if (this.#isStopped) break;
      // An upload of the same content may be about to be recorded.
      const isNeeded = (): boolean => isContentUsed(reader, sha256) || media.isUnrecorded(sha256);
      if (isNeeded() || !(await media.files.removeUnless(sha256, isNeeded))) continue;
      await thumbnails.removeAll(sha256);
      removed += 1;
    }
    return removed;
  }

  [Symbol.dispose](): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#sweepAndGoOn(), delayMs);
    this.#timer.unref();
  }

  async #sweepAndGoOn(): Promise<void> {
    const { logger } = this.#options;
    try {
      const removed = await this.sweep();
      if (removed > 0) logger.info({ removed }, 'files of media that nothing referred to were removed');
    } catch (error) {
      logger.warn({ err: error }, 'unused files of media could not all be removed; it is tried again');
    }
    this.#schedule(SWEEP_INTERVAL_MS);
  }
}
