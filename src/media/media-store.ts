import { Readable } from 'node:stream';
import type { Reader } from '#projections/engine/reader.ts';
import {
  mediaById,
  mediaUsage,
  reservedCount,
  reservedMedia,
  type StoredMedia,
} from '#projections/media/projection.ts';
import {
  BY_SERVER,
  type Media,
  mediaRecord,
  mediaRemovedRecord,
  reservationRecord,
} from '#projections/media/records.ts';
import { KeyedLock } from '#src/commands/keyed-lock.ts';
import type { Config } from '#src/config/schema.ts';
import { dataPaths } from '#src/data-paths.ts';
import { forbidden, limitExceeded, MatrixError, notFound, unavailable } from '#src/http/errors.ts';
import { Conflict, type EventLog, NO_STREAM, type Revision } from '#streams/event-log.ts';
import { type ByteRange, ContentFiles, ContentTooLarge } from './content-files.ts';

/** Uploads that this node takes at the same time; each holds a file open. */
export const MAX_UPLOADS_AT_ONCE = 200;
/** Of these, those of one user: slow ones of a few must not keep the others out. */
export const MAX_UPLOADS_OF_USER = 20;
/** Most bytes of what the server stored by itself, for previews, and did not take away yet. */
export const MAX_SERVER_MEDIA_BYTES = 1024 ** 3;
/** Ids that one user may have been given whose uploads have not come. */
export const MAX_RESERVED_OF_USER = 50;
/** How long an id waits for its upload. */
export const RESERVATION_LIFETIME_MS = 24 * 60 * 60 * 1000;
/** When to try again if there are more. */
const BUSY_RETRY_MS = 2_000;
/** When to try again where too many uploads have not come. */
const RESERVED_RETRY_MS = 60_000;
/** Revision of a media stream in which an id was given out, and nothing more. */
const RESERVED_REVISION: Revision = 0;

const MEDIA_ID = /^[A-Za-z0-9_-]{1,255}$/;

const CANNOT_STORE = 'The server cannot store or read files at the moment. Please try again later.';
/** What the system says when the disk takes nothing more. */
const DISK_ERRORS: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE']);

export interface MediaStoreOptions {
  readonly log: EventLog;
  readonly reader: Reader;
  readonly config: Pick<Config, 'data_dir' | 'media' | 'support'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 16 fresh bytes, of cryptographic quality. */
  readonly newRecordId: () => Uint8Array;
}

/** What stands before the removal of a media, and behind it. */
export interface MediaRemoval {
  /** @throws {MatrixError} M_FORBIDDEN where it has to stay. */
  checkMedia(media: StoredMedia): Promise<void>;
  /** Destroys what is kept of it. */
  media(media: StoredMedia): Promise<unknown>;
}

/** What a client says about its upload. */
export interface UploadInfo {
  readonly uploader: string;
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
  /** Size as announced, if it was. */
  readonly announcedBytes: number | undefined;
}

/** An id for an upload to come. */
export interface Reservation {
  readonly mediaId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

/** The media of this server: contents in files, and what they are in the log. */
export class MediaStore {
  /** The contents, by digest. */
  readonly files: ContentFiles;
  readonly #options: MediaStoreOptions;
  /** Uploads under way, by user. */
  readonly #uploads = new Map<string, number>();
  /** Contents that are complete, but whose records are still to come. */
  readonly #unrecorded = new Map<string, number>();
  /** One record of a user's uploads at a time, so that together they keep to the quota. */
  readonly #quotaLock = new KeyedLock();
  #uploadCount = 0;
  #removal: MediaRemoval | undefined;

  constructor(options: MediaStoreOptions) {
    this.#options = options;
    this.files = new ContentFiles(dataPaths(options.config.data_dir).media);
  }

  /** Says who is asked before something is removed, and destroys what is kept of it. */
  askBeforeRemoval(removal: MediaRemoval): void {
    this.#removal = removal;
  }

  /** The largest upload, in bytes. */
  get maxUploadBytes(): number {
    return this.#options.config.media.max_upload;
  }

  /**
   * Takes an upload: the content is on the disk, and after that in the log, before this resolves.
   *
   * @throws {MatrixError} `M_TOO_LARGE`; `M_LIMIT_EXCEEDED` when too many upload at once; `M_USER_LIMIT_EXCEEDED` or
   * `M_FORBIDDEN` where the quota is used up; 503 when the disk is full.
   */
  upload(source: Readable, info: UploadInfo): Promise<Media> {
    return this.#take(source, info, {
      mediaId: this.#randomName(),
      stream: `media-${this.#randomName()}`,
      revision: NO_STREAM,
    });
  }

  /** The same for a content that is in memory. */
  uploadBytes(bytes: Uint8Array, info: UploadInfo): Promise<Media> {
    return this.upload(Readable.from([bytes]), info);
  }

  /**
   * Gives out an id for an upload to come.
   * @throws {MatrixError} `M_LIMIT_EXCEEDED` where too many uploads of the user have not come.
   */
  async reserve(uploader: string): Promise<Reservation> {
    const { log, reader, clock, newRecordId } = this.#options;
    this.#checkQuota(uploader, 0);
    const nowMs = clock();
    return this.#quotaLock.run(uploader, async () => {
      if (reservedCount(reader, uploader, nowMs, MAX_RESERVED_OF_USER) >= MAX_RESERVED_OF_USER) {
        throw limitExceeded(RESERVED_RETRY_MS);
      }
      const reservation = { mediaId: this.#randomName(), uploader, expiresAtMs: nowMs + RESERVATION_LIFETIME_MS };
      await log.append(`media-${this.#randomName()}`, NO_STREAM, [reservationRecord(newRecordId(), reservation)]);
      return { mediaId: reservation.mediaId, expiresAtMs: reservation.expiresAtMs };
    });
  }

  /**
   * Takes the upload for an id that was given out.
   *
   * @throws {MatrixError} `M_NOT_FOUND` for an id that was not given out or has expired, `M_FORBIDDEN` for one of somebody
   * else, `M_CANNOT_OVERWRITE_MEDIA` where the upload has come; else as {@link upload}.
   */
  async fill(source: Readable, mediaId: string, info: UploadInfo): Promise<Media> {
    const { reader, clock } = this.#options;
    const reserved = MEDIA_ID.test(mediaId) ? reservedMedia(reader, mediaId) : undefined;
    const owner = reserved?.uploader ?? this.find(mediaId)?.uploader;
    if (owner === undefined) throw notFound('No upload to this media id is expected.');
    if (owner !== info.uploader) throw forbidden('This media id was given to somebody else.');
    if (reserved === undefined) throw new MatrixError('M_CANNOT_OVERWRITE_MEDIA');
    if (reserved.expiresAtMs <= clock()) throw notFound('This media id has expired.');
    try {
      return await this.#take(source, info, { mediaId, stream: reserved.stream, revision: RESERVED_REVISION });
    } catch (error) {
      if (error instanceof Conflict) throw new MatrixError('M_CANNOT_OVERWRITE_MEDIA', undefined, { cause: error });
      throw error;
    }
  }

  /** What was uploaded here under this media id. */
  find(mediaId: string): StoredMedia | undefined {
    return MEDIA_ID.test(mediaId) ? mediaById(this.#options.reader, mediaId) : undefined;
  }

  /** Whether an upload to this media id may still come. */
  isAwaited(mediaId: string): boolean {
    const { reader, clock } = this.#options;
    const reserved = MEDIA_ID.test(mediaId) ? reservedMedia(reader, mediaId) : undefined;
    return reserved !== undefined && reserved.expiresAtMs > clock();
  }

  /** Whether a content is on its way into the log. */
  isUnrecorded(sha256: string): boolean {
    return this.#unrecorded.has(sha256);
  }

  /** The content, or a part of it. @throws {MatrixError} `M_NOT_FOUND` where its file is gone. */
  read(media: Pick<Media, 'sha256'>, range?: ByteRange): Promise<Readable> {
    return this.files.read(media.sha256, range).catch(notStored);
  }

  /** Serves an upload no more. Its file goes at once, unless something else has the same content. @throws {MatrixError} */
  async remove(mediaId: string): Promise<void> {
    const { log, newRecordId } = this.#options;
    const media = this.find(mediaId);
    if (media === undefined) throw notFound('There is no media of this id.');
    // What the server made for itself is nobody's, and goes with the sweep.
    const removal = media.uploader === BY_SERVER ? undefined : this.#removal;
    await removal?.checkMedia(media);
    const revision = await log.revisionOf(media.stream);
    await log.append(media.stream, revision, [mediaRemovedRecord(newRecordId(), mediaId)]);
    await removal?.media(media);
  }

  async #take(
    source: Readable,
    info: UploadInfo,
    to: { readonly mediaId: string; readonly stream: string; readonly revision: Revision },
  ): Promise<Media> {
    const { announcedBytes = 0, uploader, contentType, fileName } = info;
    if (announcedBytes > this.maxUploadBytes) throw this.#tooLarge();
    this.#checkQuota(uploader, announcedBytes);
    // A content without a record would never be found again.
    if (!this.#options.log.writeState().writable) throw unavailable(CANNOT_STORE);
    this.#enter(uploader);
    let held: string | undefined;
    const hold = (sha256: string): void => {
      held = sha256;
      this.#unrecorded.set(sha256, (this.#unrecorded.get(sha256) ?? 0) + 1);
    };
    try {
      const { sha256, sizeBytes } = await this.files.write(source, this.maxUploadBytes, hold);
      const media: Media = { mediaId: to.mediaId, uploader, sha256, sizeBytes, contentType, fileName };
      await this.#quotaLock.run(uploader, async () => {
        this.#checkQuota(uploader, sizeBytes);
        const record = mediaRecord(this.#options.newRecordId(), media);
        await this.#options.log.append(to.stream, to.revision, [record]);
      });
      return media;
    } catch (error) {
      if (error instanceof ContentTooLarge) throw this.#tooLarge();
      throw diskError(error) ?? error;
    } finally {
      if (held !== undefined) this.#release(held);
      this.#leave(uploader);
    }
  }

  #release(sha256: string): void {
    const others = (this.#unrecorded.get(sha256) ?? 1) - 1;
    if (others === 0) this.#unrecorded.delete(sha256);
    else this.#unrecorded.set(sha256, others);
  }

  /** Throws if so many more bytes would be more than a user may have. */
  #checkQuota(uploader: string, moreBytes: number): void {
    const { reader, config } = this.#options;
    const { user_quota: quota } = config.media;
    const allowed = uploader === BY_SERVER ? MAX_SERVER_MEDIA_BYTES : quota;
    if (allowed === null || mediaUsage(reader, uploader).sizeBytes + moreBytes <= allowed) return;
    const message = `You can upload ${allowed} bytes in all, and this would be more.`;
    // The more precise code needs a page that it can lead people to.
    if (config.support.page === null) throw forbidden(message);
    throw new MatrixError('M_USER_LIMIT_EXCEEDED', message, {
      extra: { info_uri: config.support.page, can_upgrade: false },
    });
  }

  #enter(uploader: string): void {
    const own = this.#uploads.get(uploader) ?? 0;
    if (own >= MAX_UPLOADS_OF_USER || this.#uploadCount >= MAX_UPLOADS_AT_ONCE) throw limitExceeded(BUSY_RETRY_MS);
    this.#uploads.set(uploader, own + 1);
    this.#uploadCount += 1;
  }

  #leave(uploader: string): void {
    const others = (this.#uploads.get(uploader) ?? 1) - 1;
    if (others === 0) this.#uploads.delete(uploader);
    else this.#uploads.set(uploader, others);
    this.#uploadCount -= 1;
  }

  #tooLarge(): MatrixError {
    return new MatrixError('M_TOO_LARGE', `An upload may have at most ${this.maxUploadBytes} bytes.`);
  }

  #randomName(): string {
    return Buffer.from(this.#options.newRecordId()).toString('base64url');
  }
}

function notStored(error: unknown): never {
  if (codeOf(error) === 'ENOENT') throw new MatrixError('M_NOT_FOUND', 'The content is not stored here.');
  throw diskError(error) ?? error;
}

function diskError(error: unknown): MatrixError | undefined {
  if (!DISK_ERRORS.has(codeOf(error))) return undefined;
  return unavailable(CANNOT_STORE, error);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
