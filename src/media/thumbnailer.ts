/** Small images of large ones, made off the main thread and kept beside the media; they can be made again at any time. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { limitExceeded, MatrixError } from '#src/http/errors.ts';
import { ANIMATION_HEAD_BYTES, isAnimated } from './animation.ts';
import type { ThumbnailSize } from './thumbnail-size.ts';

/** Most pixels of an image that is read, all frames counted: 4 bytes each while it is. */
export const MAX_IMAGE_PIXELS = 50_000_000;
/** Most frames of an animation that stays one; a longer one becomes a still image. */
export const MAX_FRAMES = 500;
/** Largest file that is read as an image. */
export const MAX_IMAGE_FILE_BYTES = 64 * 1024 * 1024;
/** Longest time that one image is worked on. */
const TIMEOUT_S = 20;
/** Images that are worked on at the same time: each may take {@link MAX_IMAGE_PIXELS} times four bytes. */
const MAX_AT_ONCE = 2;
/** Requests that wait for their turn; beyond it clients are asked to come again. */
const MAX_WAITING = 100;
const BUSY_RETRY_MS = 2_000;

/** Decoders of these alone are used: what else the library knows has no business with strangers' files. */
const DECODERS = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Heif'].map((name) => `VipsForeignLoad${name}File`);

type OpenImage = (path: string, options: SharpOptions) => Sharp;

let opener: Promise<OpenImage> | undefined;

/** The image library, loaded when the first image is read: a server without media does without its 30 MiB. */
function imageLibrary(): Promise<OpenImage> {
  opener ??= import('sharp').then(({ default: sharp }) => {
    sharp.cache(false);
    // Several images at a time use several cores already.
    sharp.concurrency(1);
    sharp.block({ operation: ['VipsForeignLoad'] });
    sharp.unblock({ operation: DECODERS });
    return sharp;
  });
  return opener;
}

/** What the files of thumbnails end with, and what they are. */
const TYPES = { jpg: 'image/jpeg', png: 'image/png', webp: 'image/webp' } as const;
type Extension = keyof typeof TYPES;

/** A file with an image in it. */
export interface ImageFile {
  readonly path: string;
  /** Names the content, for ever: hex digits. */
  readonly key: string;
  readonly sizeBytes: number;
}

/** A file with a thumbnail; `original` where the image itself is small enough. */
export type Thumbnail =
  | { readonly kind: 'original' }
  | { readonly kind: 'made'; readonly path: string; readonly contentType: string; readonly sizeBytes: number };

/** Makes thumbnails, each once. */
export class Thumbnailer {
  readonly #folder: string;
  readonly #making = new Map<string, Promise<Thumbnail>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param folder of this process alone; made when it is needed. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * A thumbnail of an image in one of the sizes of {@link THUMBNAIL_SIZES}; of an animation, one that moves if that is wanted.
   *
   * @throws {MatrixError} `M_UNKNOWN` (400) for what is no image that can be read, `M_TOO_LARGE` for one that is too large,
   * `M_LIMIT_EXCEEDED` when too many wait.
   */
  async of(image: ImageFile, size: ThumbnailSize, wantsAnimation: boolean): Promise<Thumbnail> {
    const name = nameOf(image.key, size, wantsAnimation);
    const made = await this.#find(image.key, name);
    if (made !== undefined) return made;
    const underway = this.#making.get(name);
    if (underway !== undefined) return underway;
    const making = this.#inTurn(() => this.#make(image, size, { wantsAnimation, name })).finally(() => {
      this.#making.delete(name);
    });
    this.#making.set(name, making);
    return making;
  }

  /** How large an image is, turned upright, in pixels; undefined for what is no image that can be read. */
  async dimensions(path: string): Promise<{ readonly width: number; readonly height: number } | undefined> {
    try {
      const openImage = await imageLibrary();
      const { autoOrient } = await openImage(path, { ...READING, limitInputPixels: false }).metadata();
      return { width: autoOrient.width, height: autoOrient.height };
    } catch {
      return undefined;
    }
  }

  /** Removes all thumbnails of a content. */
  async removeAll(key: string): Promise<void> {
    const folder = this.#folderOf(key);
    for (const name of await readdir(folder).catch(() => [])) {
      if (name.startsWith(`${key}-`)) await rm(join(folder, name), { force: true });
    }
  }

  async #find(key: string, name: string): Promise<Thumbnail | undefined> {
    for (const extension of Object.keys(TYPES) as Extension[]) {
      const path = join(this.#folderOf(key), `${name}.${extension}`);
      const info = await stat(path).catch(() => undefined);
      if (info !== undefined) return { kind: 'made', path, contentType: TYPES[extension], sizeBytes: info.size };
    }
    return undefined;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_AT_ONCE) {
      if (this.#waiting.length >= MAX_WAITING) throw limitExceeded(BUSY_RETRY_MS);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #make(
    image: ImageFile,
    size: ThumbnailSize,
    { wantsAnimation, name }: { readonly wantsAnimation: boolean; readonly name: string },
  ): Promise<Thumbnail> {
    if (image.sizeBytes > MAX_IMAGE_FILE_BYTES) throw tooLarge();
    try {
      const openImage = await imageLibrary();
      // It reads the head alone, however many pixels follow.
      const metadata = await openImage(image.path, { ...READING, limitInputPixels: false }).metadata();
      const { width, height } = metadata.autoOrient;
      if (width * height > MAX_IMAGE_PIXELS) throw tooLarge();
      const moves = wantsAnimation && canMove(metadata);
      const isSmall = width <= size.width && height <= size.height;
      if (isSmall && (moves || !(await isMoving(image.path)))) return { kind: 'original' };
      const { pipeline, extension } = written(
        shrunk(openImage(image.path, { ...READING, animated: moves }), size),
        metadata,
        moves,
      );
      return await this.#keep(image.key, `${name}.${extension}`, pipeline, TYPES[extension]);
    } catch (error) {
      if (error instanceof MatrixError) throw error;
      throw new MatrixError('M_UNKNOWN', 'No thumbnail can be made of this.', { status: 400, cause: error });
    }
  }

  async #keep(key: string, fileName: string, pipeline: Sharp, contentType: string): Promise<Thumbnail> {
    const folder = this.#folderOf(key);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, fileName);
    // A file has its name when it is whole. It may be lost with the machine: then it is made again.
    const unfinished = join(folder, `unfinished-${randomUUID()}`);
    try {
      const { size: sizeBytes } = await pipeline.timeout({ seconds: TIMEOUT_S }).toFile(unfinished);
      await rename(unfinished, path);
      return { kind: 'made', path, contentType, sizeBytes };
    } finally {
      await rm(unfinished, { force: true });
    }
  }

  #folderOf(key: string): string {
    return join(this.#folder, key.slice(0, 2));
  }
}

const READING = {
  limitInputPixels: MAX_IMAGE_PIXELS,
  sequentialRead: true,
  failOn: 'error',
  unlimited: false,
} as const;

function nameOf(key: string, { width, height, method }: ThumbnailSize, wantsAnimation: boolean): string {
  return `${key}-${width}x${height}-${method}${wantsAnimation ? '-animated' : ''}`;
}

/** Whether an animation is small enough to stay one. */
function canMove({ pages = 1, width, height, pageHeight = height }: Metadata): boolean {
  return pages > 1 && pages <= MAX_FRAMES && width * pageHeight * pages <= MAX_IMAGE_PIXELS;
}

async function isMoving(path: string): Promise<boolean> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(ANIMATION_HEAD_BYTES), 0, ANIMATION_HEAD_BYTES, 0);
  return isAnimated(buffer.subarray(0, bytesRead));
}

/** Turned upright, and never made larger. */
function shrunk(image: Sharp, { width, height, method }: ThumbnailSize): Sharp {
  const fit = method === 'crop' ? 'cover' : 'inside';
  return image.autoOrient().resize(width, height, { fit, withoutEnlargement: true });
}

function written(image: Sharp, { hasAlpha }: Metadata, moves: boolean): { pipeline: Sharp; extension: Extension } {
  if (moves) return { pipeline: image.webp({ effort: 2 }), extension: 'webp' };
  if (hasAlpha) return { pipeline: image.png(), extension: 'png' };
  return { pipeline: image.jpeg({ quality: 80 }), extension: 'jpg' };
}

function tooLarge(): MatrixError {
  return new MatrixError('M_TOO_LARGE', 'The image is too large to make a thumbnail of.');
}
