import type { Readable } from 'node:stream';
import type { Reader } from '#projections/engine/reader.ts';
import { mediaById } from '#projections/media/projection.ts';
import { type Media, mediaRecord } from '#projections/media/records.ts';
import type { Config } from '#src/config/schema.ts';
import { dataPaths } from '#src/data-paths.ts';
import { limitExceeded, MatrixError, unavailable } from '#src/http/errors.ts';
import { type EventLog, NO_STREAM } from '#streams/event-log.ts';
import { type ByteRange, ContentFiles, ContentTooLarge } from './content-files.ts';

/** Uploads that this node takes at the same time; each holds a file open. */
export const MAX_UPLOADS_AT_ONCE = 200;
/** Of these, those of one user: slow ones of a few must not keep the others out. */
export const MAX_UPLOADS_OF_USER = 20;
/** When to try again if there are more. */
const BUSY_RETRY_MS = 2_000;

const MEDIA_ID = /^[A-Za-z0-9_-]{1,255}$/;

const CANNOT_STORE = 'The server cannot store or read files at the moment. Please try again later.';
/** What the system says when the disk takes nothing more. */
const DISK_ERRORS: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE']);

export interface MediaStoreOptions {
  readonly log: EventLog;
  readonly reader: Reader;
  readonly config: Pick<Config, 'data_dir' | 'media'>;
  /** 16 fresh bytes, of cryptographic quality. */
  readonly newRecordId: () => Uint8Array;
}

/** What a client says about its upload. */
export interface UploadInfo {
  readonly uploader: string;
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
  /** Size as announced, if it was. */
  readonly announcedBytes: number | undefined;
}

/** The media of this server: contents in files, and what they are in the log. */
export class MediaStore {
  readonly #options: MediaStoreOptions;
  readonly #files: ContentFiles;
  /** Uploads under way, by user. */
  readonly #uploads = new Map<string, number>();
  #uploadCount = 0;

  constructor(options: MediaStoreOptions) {
    this.#options = options;
    this.#files = new ContentFiles(dataPaths(options.config.data_dir).media);
  }

  /** The largest upload, in bytes. */
  get maxUploadBytes(): number {
    return this.#options.config.media.max_upload;
  }

  /**
   * Takes an upload: the content is on the disk, and after that in the log, before this resolves.
   *
   * @throws {MatrixError} `M_TOO_LARGE`; `M_LIMIT_EXCEEDED` when too many upload at once; 503 when the disk is full.
   */
  async upload(source: Readable, info: UploadInfo): Promise<Media> {
    const { announcedBytes = 0, uploader, contentType, fileName } = info;
    if (announcedBytes > this.maxUploadBytes) throw this.#tooLarge();
    // A content without a record would never be found again.
    if (!this.#options.log.writeState().writable) throw unavailable(CANNOT_STORE);
    this.#enter(uploader);
    try {
      const { sha256, sizeBytes } = await this.#files.write(source, this.maxUploadBytes);
      const media: Media = { mediaId: this.#randomName(), uploader, sha256, sizeBytes, contentType, fileName };
      const record = mediaRecord(this.#options.newRecordId(), media);
      await this.#options.log.append(`media-${this.#randomName()}`, NO_STREAM, [record]);
      return media;
    } catch (error) {
      if (error instanceof ContentTooLarge) throw this.#tooLarge();
      throw diskError(error) ?? error;
    } finally {
      this.#leave(uploader);
    }
  }

  /** What was uploaded here under this media id. */
  find(mediaId: string): Media | undefined {
    return MEDIA_ID.test(mediaId) ? mediaById(this.#options.reader, mediaId) : undefined;
  }

  /** The content, or a part of it. @throws {MatrixError} `M_NOT_FOUND` where its file is gone. */
  read(media: Media, range?: ByteRange): Promise<Readable> {
    return this.#files.read(media.sha256, range).catch(notStored);
  }

  /** The first bytes of the content, at most so many. @throws {MatrixError} `M_NOT_FOUND` where its file is gone. */
  readHead(media: Media, maxBytes: number): Promise<Buffer> {
    return this.#files.readHead(media.sha256, maxBytes).catch(notStored);
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
