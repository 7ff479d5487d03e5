/**
 * The bytes of media, each content once, under the digest of what it holds: `<first two hex digits>/<the other 62>`. A file
 * is complete and on the disk before it has its name, so whatever has a name is whole.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

/** Where uploads are until they are complete. */
const INCOMING = 'incoming';
const SHA256 = /^[0-9a-f]{64}$/;
/**
 * Read at once from the disk: large enough for some 260 MiB a second, small enough for many downloads at a time. What was sent waits
 * for the next collection of garbage, which comes after so many pieces: four times as large, they take 20 MiB more.
 */
const READ_CHUNK_BYTES = 32 * 1024;

/** What was stored. */
export interface StoredContent {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Bytes `start` to `end`, both inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** There are more bytes than may be stored. Nothing was. */
export class ContentTooLarge extends Error {
  override readonly name = 'ContentTooLarge';
  constructor(maxBytes: number) {
    super(`the content has more than ${maxBytes} bytes`);
  }
}

/** Content-addressed files in one folder of this process. */
export class ContentFiles {
  readonly #folder: string;
  #prepared: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Stores what the stream gives, in constant memory. It is on the disk when this resolves. The stream is left as it is when
   * this fails; whatever it gave is gone.
   *
   * @param beforeNaming is called with the digest before the content has its name: for who looks after unused contents.
   * @throws {ContentTooLarge}
   */
  async write(source: Readable, maxBytes: number, beforeNaming?: (sha256: string) => void): Promise<StoredContent> {
    await this.#prepare();
    const incoming = join(this.#folder, INCOMING, randomUUID());
    const file = await open(incoming, 'wx', 0o600);
    try {
      const content = await copy(source, file, maxBytes);
      await file.sync();
      beforeNaming?.(content.sha256);
      await this.#name(incoming, content.sha256);
      return content;
    } catch (error) {
      await unlink(incoming).catch(() => undefined);
      throw error;
    } finally {
      await file.close();
    }
  }

  /** The content of a digest, or a part of it. Throws ENOENT where there is none. */
  async read(sha256: string, range?: ByteRange): Promise<Readable> {
    const file = await open(this.path(sha256), 'r');
    return createReadStream('', {
      fd: file,
      highWaterMark: READ_CHUNK_BYTES,
      ...(range && { start: range.start, end: range.end }),
    });
  }

  /**
   * The digests of all contents that were complete before a moment (milliseconds since the epoch), in no particular order.
   * What is no content of ours is left out.
   */
  async *namedBefore(beforeMs: number): AsyncGenerator<string> {
    for (const folder of await namesIn(this.#folder)) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      for (const name of await namesIn(join(this.#folder, folder))) {
        const sha256 = folder + name;
        if (!SHA256.test(sha256)) continue;
        const info = await stat(this.path(sha256)).catch(() => undefined);
        if (info !== undefined && info.mtimeMs < beforeMs) yield sha256;
      }
    }
  }

  /**
   * Removes a content that nobody needs. Somebody may begin to need it at the same moment, by storing the same again: so it is
   * taken aside first, and put back if it is needed then.
   */
  async removeUnless(sha256: string, isNeeded: () => boolean): Promise<boolean> {
    await this.#prepare();
    const aside = join(this.#folder, INCOMING, randomUUID());
    try {
      await rename(this.path(sha256), aside);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      throw error;
    }
    if (isNeeded()) {
      await rename(aside, this.path(sha256));
      return false;
    }
    await unlink(aside);
    return true;
  }

  /** Where the content of a digest is, if there is one. */
  path(sha256: string): string {
    if (!SHA256.test(sha256)) throw new RangeError('not a SHA-256 digest in hex');
    return join(this.#folder, sha256.slice(0, 2), sha256.slice(2));
  }

  /** Gives a complete file its name; the name is on the disk afterwards. Whoever is second replaces the same with the same. */
  async #name(incoming: string, sha256: string): Promise<void> {
    const folder = join(this.#folder, sha256.slice(0, 2));
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    await rename(incoming, this.path(sha256));
    await syncFolder(folder);
    if (made !== undefined) await syncFolder(this.#folder);
  }

  /** Makes the folders, and takes away what uploads left that a crash interrupted. Once; after a failure again. */
  #prepare(): Promise<void> {
    this.#prepared ??= this.#prepareFolders().catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  async #prepareFolders(): Promise<void> {
    const incoming = join(this.#folder, INCOMING);
    if ((await mkdir(incoming, { recursive: true, mode: 0o700 })) !== undefined)
      await syncFolder(dirname(this.#folder));
    for (const name of await readdir(incoming)) await unlink(join(incoming, name));
  }
}

async function copy(source: Readable, file: FileHandle, maxBytes: number): Promise<StoredContent> {
  const digest = createHash('sha256');
  let sizeBytes = 0;
  // The stream of a request is its connection: it has to live on so that the answer can be sent.
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    const bytes = chunk as Buffer;
    sizeBytes += bytes.length;
    if (sizeBytes > maxBytes) throw new ContentTooLarge(maxBytes);
    digest.update(bytes);
    await writeAll(file, bytes);
  }
  return { sha256: digest.digest('hex'), sizeBytes };
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

/** The names in a folder; none where it is not there. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}
