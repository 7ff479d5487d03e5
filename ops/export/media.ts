/** The media that exported events name: found in their contents, copied, listed with their digests. */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncPath } from '#projections/engine/durable-files.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { mediaById } from '#projections/media/projection.ts';
import { ContentFiles } from '#src/media/content-files.ts';
import { RemoteMedia } from '#src/media/remote-media.ts';
import { EXPORT_FILES, type MediaLine } from './layout.ts';

/** `mxc://server/id`, as contents name media. Spec: client-server API, "Matrix Content (mxc://) URIs". */
const MXC = /^mxc:\/\/([^/\s]{1,255})\/([A-Za-z0-9_-]{1,255})$/;
/** How deep contents are looked through; none is deeper than the limit on events lets it be. */
const MAX_DEPTH = 100;

/** The endings that files get, by what they are said to be; of anything else no program should make more than bytes. */
const ENDINGS: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/gif': 'gif',
  'image/webp': 'webp',
  'image/avif': 'avif',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
  'audio/mpeg': 'mp3',
  'audio/ogg': 'ogg',
  'audio/mp4': 'm4a',
  'audio/wav': 'wav',
  'audio/webm': 'weba',
  'application/pdf': 'pdf',
  'text/plain': 'txt',
};

/** The media that a content names, anywhere in it. */
export function mediaNamedIn(content: unknown, depth = 0): string[] {
  if (typeof content === 'string') return MXC.test(content) ? [content] : [];
  if (typeof content !== 'object' || content === null || depth > MAX_DEPTH) return [];
  return Object.values(content).flatMap((value) => mediaNamedIn(value, depth + 1));
}

export interface MediaSourceOptions {
  readonly reader: Reader;
  readonly serverName: string;
  readonly mediaFolder: string;
  readonly remoteMediaFolder: string;
}

interface FoundMedia {
  readonly path: string;
  readonly sha256: string;
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
}

/** Finds media in a data folder. */
export class MediaSource {
  readonly #options: MediaSourceOptions;
  readonly #files: ContentFiles;
  readonly #remote: RemoteMedia;

  constructor(options: MediaSourceOptions) {
    this.#options = options;
    this.#files = new ContentFiles(options.mediaFolder);
    this.#remote = new RemoteMedia({
      folder: options.remoteMediaFolder,
      maxCacheBytes: Number.MAX_SAFE_INTEGER,
      maxFileBytes: Number.MAX_SAFE_INTEGER,
    });
  }

  /** Copies a media into an export, and says what it is. A copy that is there already, and whole, is left. */
  async copyInto(folder: string, mxc: string, eventIds: readonly string[]): Promise<MediaLine> {
    const found = await this.#find(mxc);
    if (typeof found === 'string') return { mxc, missing: found, event_ids: eventIds };
    const { sha256, contentType, fileName } = found;
    const path = `${EXPORT_FILES.media}/${sha256}.${(contentType && ENDINGS[contentType]) ?? 'bin'}`;
    const target = join(folder, path);
    if ((await digestOf(target)) !== sha256) {
      await mkdir(join(folder, EXPORT_FILES.media), { recursive: true });
      await copyFile(found.path, `${target}.new`, constants.COPYFILE_FICLONE);
      if ((await digestOf(`${target}.new`)) !== sha256) {
        throw new Error(
          `the content of ${mxc} is not what it was when it was stored; \`stele verify\` and a backup help`,
        );
      }
      await syncPath(`${target}.new`);
      await rename(`${target}.new`, target);
    }
    return {
      mxc,
      sha256,
      size: (await stat(target)).size,
      path,
      ...(contentType !== undefined && { content_type: contentType }),
      ...(fileName !== undefined && { file_name: fileName }),
      event_ids: eventIds,
    };
  }

  async #find(mxc: string): Promise<FoundMedia | NonNullable<MediaLine['missing']>> {
    const [, server = '', mediaId = ''] = MXC.exec(mxc) ?? [];
    if (server === this.#options.serverName) {
      const media = mediaById(this.#options.reader, mediaId);
      if (media === undefined) return 'removed';
      const path = this.#files.path(media.sha256);
      return (await isThere(path)) ? { path, ...media } : 'removed';
    }
    return (await this.#remote.find(server, mediaId)) ?? 'not_on_this_server';
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    // What is there and cannot be read is not to be called removed.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function digestOf(path: string): Promise<string | undefined> {
  if (!(await isThere(path))) return undefined;
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer);
  return digest.digest('hex');
}
