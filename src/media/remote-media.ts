/**
 * Media of other servers: fetched when they are asked for, and kept for as long as there is room; what was asked for longest
 * ago goes first, but for what is on legal hold, whatever room that takes. Nothing of it is in the log, since all of it can be
 * fetched again.
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
import { mediaKey } from './media-names.ts';

/** Media that are fetched at the same time. */
const MAX_FETCHES = 50;
const BUSY_RETRY_MS = 2_000;
/** How far the cache is emptied when it is full, as a share of its size. */
const KEPT_SHARE = 0.9;
/** How old the mark of the last use gets before it is renewed. */
const USE_MARK_MS = 60 * 60 * 1000;
/** What has to be fetched before room is made again where holds kept too much, as a share of the cache. */
const RETRY_SHARE = 0.05;
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

/** A file of the cache that is about to go. */
export interface DroppableFile {
  readonly key: string;
  /** Its id at its server; undefined where that was not written down. */
  readonly mediaId: string | undefined;
  /** When it was fetched: milliseconds since the epoch. */
  readonly fetchedAtMs: number;
}

/** Who says what has to stay in the cache. */
export interface CacheHolds {
  /** Whether anything has to stay. */
  any(): boolean;
  /** The keys of those files that have to stay. */
  held(files: readonly DroppableFile[]): Promise<ReadonlySet<string>>;
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
  #holds: CacheHolds | undefined;
  #onDropped: ((sha256: string) => Promise<void>) | undefined;
  /** How many bytes there were when no more room could be made for holds; 0 where it could. */
  #stuckAtBytes = 0;
  /** Bytes that are kept; undefined until they were counted. */
  #keptBytes: Promise<number> | undefined;

  constructor(options: RemoteMediaOptions) {
    this.#options = options;
  }

  /** Says where media come from. Without a source there are only those that were kept. */
  fetchFrom(source: RemoteMediaSource): void {
    this.#source = source;
  }

  /** Says who is asked before files go to make room. */
  askBeforeDropping(holds: CacheHolds): void {
    this.#holds = holds;
  }

  /** Calls `listener` with the digest of each file that has gone. */
  onDropped(listener: (sha256: string) => Promise<void>): void {
    this.#onDropped = listener;
  }

  /** A media of another server. @throws {MatrixError} `M_NOT_FOUND`, `M_TOO_LARGE` (502), and what the source throws. */
  async get(serverName: string, mediaId: string, timeoutMs: number): Promise<CachedMedia> {
    const key = mediaKey({ serverName, mediaId });
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
    return this.#find(mediaKey({ serverName, mediaId }));
  }

  /** What is known of a file of the cache, by its key. */
  async describe(key: string): Promise<Omit<DroppableFile, 'key'> | undefined> {
    const info = await stat(this.#path(key)).catch(() => undefined);
    if (info === undefined) return undefined;
    const described = await this.#described(key).catch(() => undefined);
    return { mediaId: described?.mediaId, fetchedAtMs: info.mtimeMs };
  }

  /** Drops a file of the cache, by its key, if it is there. */
  async drop(key: string): Promise<void> {
    const info = await stat(this.#path(key)).catch(() => undefined);
    if (info === undefined) return;
    await this.#drop(key);
    this.#keptBytes = this.#keptBytes?.then((kept) => Math.max(0, kept - info.size));
  }

  /**
   * Drops what nobody has asked for since a moment (milliseconds since the epoch; the cache knows it within an hour), and what is
   * not on hold. Gives how many files went.
   */
  async dropUnusedSince(ms: number): Promise<number> {
    const unused = (await this.#files()).filter(({ usedMs }) => usedMs < ms);
    const held = await this.#heldOf(unused);
    const going = unused.filter(({ key }) => !held.has(key));
    for (const { key } of going) await this.drop(key);
    return going.length;
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
    const described = await this.#described(key).catch(() => undefined);
    await rm(this.#path(key) + DESCRIPTION, { force: true });
    await rm(this.#path(key), { force: true });
    if (described !== undefined) await this.#onDropped?.(described.sha256);
  }

  async #heldOf(files: readonly Kept[]): Promise<ReadonlySet<string>> {
    if (files.length === 0 || this.#holds?.any() !== true) return new Set();
    const droppable: DroppableFile[] = [];
    for (const { key } of files) {
      const described = await this.describe(key);
      if (described !== undefined) droppable.push({ key, ...described });
    }
    return this.#holds.held(droppable);
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
        mediaId,
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
      const { maxCacheBytes } = this.#options;
      const isWorthTrying = kept > this.#stuckAtBytes + (this.#stuckAtBytes > 0 ? maxCacheBytes * RETRY_SHARE : 0);
      return kept > maxCacheBytes && isWorthTrying ? this.#makeRoom(key) : kept;
    });
    await this.#keptBytes;
  }

  async #makeRoom(keptKey: string): Promise<number> {
    const { maxCacheBytes } = this.#options;
    const files = (await this.#files()).toSorted((a, b) => a.usedMs - b.usedMs);
    const held = await this.#heldOf(files);
    let kept = sum(files);
    for (const { key, sizeBytes } of files) {
      if (kept <= maxCacheBytes * KEPT_SHARE) break;
      if (key === keptKey || held.has(key)) continue;
      await this.#drop(key);
      kept -= sizeBytes;
    }
    this.#stuckAtBytes = kept > maxCacheBytes * KEPT_SHARE ? kept : 0;
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

interface Described {
  /** Missing in files of the cache that are older than it. */
  readonly mediaId?: string;
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
