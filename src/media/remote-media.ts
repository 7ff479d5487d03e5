/**
 * Media of other servers: fetched when they are asked for, and kept for as long as there is room; what was asked for longest
 * ago goes first. Nothing of it is in the log, since all of it can be fetched again.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { parseJson } from '#protocol/json-limits.ts';
import { limitExceeded, MatrixError, notFound } from '#src/http/errors.ts';
import type { ByteRange } from './content-files.ts';
import { contentTypeOf, fileNameOf } from './download-headers.ts';

/** Media that are fetched at the same time. */
const MAX_FETCHES = 50;
const BUSY_RETRY_MS = 2_000;
/** How far the cache is emptied when it is full, as a share of its size. */
const KEPT_SHARE = 0.9;
/** How old the mark of the last use gets before it is renewed. */
const USE_MARK_MS = 60 * 60 * 1000;
/** A file of the cache that describes another. */
const DESCRIPTION = '.json';

/** What another server gives for one of its media. */
export interface RemoteContent {
  readonly body: Readable;
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
}

/** Fetches media of other servers. */
export interface RemoteMediaSource {
  /**
   * @param timeoutMs how long the other server may wait for an upload that has not come to it yet.
   * @throws {MatrixError} what the client is to be told: `M_NOT_FOUND`, `M_NOT_YET_UPLOADED`, 502 where the server cannot be
   * reached.
   */
  fetch(serverName: string, mediaId: string, timeoutMs: number): Promise<RemoteContent>;
}

/** A media of another server that is in the cache. */
export interface CachedMedia {
  readonly path: string;
  /** Names the media, for ever: hex digits. */
  readonly key: string;
  /** SHA-256 of the content, lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
}

export interface RemoteMediaOptions {
  /** Of this process alone. */
  readonly folder: string;
  /** Most bytes of all media that are kept. */
  readonly maxCacheBytes: number;
  /** Most bytes of one. */
  readonly maxFileBytes: number;
  /** Milliseconds since the epoch, by the file system's clock. Default `Date.now`. */
  readonly clock?: () => number;
}

export class RemoteMedia {
  readonly #options: RemoteMediaOptions;
  readonly #fetching = new Map<string, Promise<CachedMedia>>();
  #source: RemoteMediaSource | undefined;
  /** Bytes that are kept; undefined until they were counted. */
  #keptBytes: Promise<number> | undefined;

  constructor(options: RemoteMediaOptions) {
    this.#options = options;
  }

  /** Says where media come from. Without a source there are only those that were kept. */
  fetchFrom(source: RemoteMediaSource): void {
    this.#source = source;
  }

  /** A media of another server. @throws {MatrixError} `M_NOT_FOUND`, `M_TOO_LARGE` (502), and what the source throws. */
  async get(serverName: string, mediaId: string, timeoutMs: number): Promise<CachedMedia> {
    const key = keyOf(serverName, mediaId);
    const kept = await this.#find(key);
    if (kept !== undefined) return kept;
    const underway = this.#fetching.get(key);
    if (underway !== undefined) return underway;
    if (this.#fetching.size >= MAX_FETCHES) throw limitExceeded(BUSY_RETRY_MS);
    const fetching = this.#fetch(key, serverName, mediaId, timeoutMs).finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, fetching);
    return fetching;
  }

  /** A media of another server if it is in the cache. */
  find(serverName: string, mediaId: string): Promise<CachedMedia | undefined> {
    return this.#find(keyOf(serverName, mediaId));
  }

  /**
   * Drops what nobody has asked for since a moment (milliseconds since the epoch; the cache knows it within an hour).
   * Gives the digests of what went, in lower-case hex.
   */
  async dropUnusedSince(ms: number): Promise<string[]> {
    const dropped: string[] = [];
    for (const { key, usedMs, sizeBytes } of await this.#files()) {
      if (usedMs >= ms) continue;
      const described = await this.#described(key).catch(() => undefined);
      await this.#drop(key);
      this.#keptBytes = this.#keptBytes?.then((kept) => Math.max(0, kept - sizeBytes));
      if (described !== undefined) dropped.push(described.sha256);
    }
    return dropped;
  }

  /** The content, or a part of it. @throws {MatrixError} `M_NOT_FOUND` where it was dropped meanwhile. */
  async read({ path }: Pick<CachedMedia, 'path'>, range?: ByteRange): Promise<Readable> {
    try {
      const file = await open(path, 'r');
      return createReadStream('', { fd: file, ...(range && { start: range.start, end: range.end }) });
    } catch {
      throw notFound('The media is not kept here any more. Please ask again.');
    }
  }

  async #find(key: string): Promise<CachedMedia | undefined> {
    const path = this.#path(key);
    try {
      const info = await stat(path + DESCRIPTION);
      const described = await this.#described(key);
      const nowMs = this.#now();
      if (nowMs - info.mtimeMs > USE_MARK_MS) await utimes(path + DESCRIPTION, new Date(nowMs), new Date(nowMs));
      return {
        path,
        key,
        ...described,
        contentType: described.contentType ?? undefined,
        fileName: described.fileName ?? undefined,
      };
    } catch {
      // Whatever cannot be read is fetched again.
      return undefined;
    }
  }

  async #described(key: string): Promise<Described> {
    return parseJson(await readFile(this.#path(key) + DESCRIPTION, 'utf8')) as unknown as Described;
  }

  async #drop(key: string): Promise<void> {
    await rm(this.#path(key) + DESCRIPTION, { force: true });
    await rm(this.#path(key), { force: true });
  }

  async #fetch(key: string, serverName: string, mediaId: string, timeoutMs: number): Promise<CachedMedia> {
    if (this.#source === undefined) throw notFound('The media of that server cannot be fetched from here.');
    const { body, contentType, fileName } = await this.#source.fetch(serverName, mediaId, timeoutMs);
    const path = this.#path(key);
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
    const unfinished = `${path}.${randomUUID()}`;
    try {
      const written = await this.#write(body, unfinished);
      const described: Described = {
        ...written,
        contentType: contentTypeOf(contentType) ?? null,
        fileName: fileNameOf(fileName) ?? null,
      };
      await rename(unfinished, path);
      // The description comes last: what has one is whole.
      await writeFile(unfinished, JSON.stringify(described), { mode: 0o600 });
      await rename(unfinished, path + DESCRIPTION);
      await this.#account(written.sizeBytes, key);
      return {
        path,
        key,
        ...written,
        contentType: described.contentType ?? undefined,
        fileName: described.fileName ?? undefined,
      };
    } finally {
      body.destroy();
      await rm(unfinished, { force: true });
    }
  }

  async #write(body: Readable, to: string): Promise<{ sha256: string; sizeBytes: number }> {
    const digest = createHash('sha256');
    let sizeBytes = 0;
    await using file = await open(to, 'wx', 0o600);
    for await (const chunk of body) {
      const bytes = chunk as Buffer;
      sizeBytes += bytes.length;
      if (sizeBytes > this.#options.maxFileBytes) {
        throw new MatrixError('M_TOO_LARGE', 'The media is larger than this server fetches.', { status: 502 });
      }
      digest.update(bytes);
      await file.writeFile(bytes);
    }
    return { sha256: digest.digest('hex'), sizeBytes };
  }

  /** Counts what came, and makes room where it is too much; what was just fetched stays. */
  async #account(sizeBytes: number, key: string): Promise<void> {
    this.#keptBytes ??= this.#files().then((files) => sum(files) - sizeBytes);
    const counting = this.#keptBytes;
    this.#keptBytes = counting.then(async (before) => {
      const kept = before + sizeBytes;
      return kept > this.#options.maxCacheBytes ? this.#makeRoom(key) : kept;
    });
    await this.#keptBytes;
  }

  async #makeRoom(keptKey: string): Promise<number> {
    const files = (await this.#files()).toSorted((a, b) => a.usedMs - b.usedMs);
    let kept = sum(files);
    for (const { key, sizeBytes } of files) {
      if (kept <= this.#options.maxCacheBytes * KEPT_SHARE) break;
      if (key === keptKey) continue;
      await this.#drop(key);
      kept -= sizeBytes;
    }
    return kept;
  }

  async #files(): Promise<Kept[]> {
    const files: Kept[] = [];
    for (const entry of await readdir(this.#options.folder, { recursive: true }).catch(() => [])) {
      if (!entry.endsWith(DESCRIPTION)) continue;
      const path = join(this.#options.folder, entry);
      const described = await stat(path).catch(() => undefined);
      const content = await stat(path.slice(0, -DESCRIPTION.length)).catch(() => undefined);
      if (described === undefined || content === undefined) continue;
      const key = entry.slice(entry.lastIndexOf('/') + 1, -DESCRIPTION.length);
      files.push({ key, sizeBytes: content.size, usedMs: described.mtimeMs });
    }
    return files;
  }

  #path(key: string): string {
    return join(this.#options.folder, key.slice(0, 2), key);
  }

  #now(): number {
    return (this.#options.clock ?? Date.now)();
  }
}

/** Names a media in the cache: its id may hold what no file name can. */
function keyOf(serverName: string, mediaId: string): string {
  return createHash('sha256').update(`${serverName}/${mediaId}`).digest('hex');
}

interface Described {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly contentType: string | null;
  readonly fileName: string | null;
}

interface Kept {
  readonly key: string;
  readonly sizeBytes: number;
  /** When it was asked for last. */
  readonly usedMs: number;
}

function sum(files: readonly Kept[]): number {
  return files.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
}
