/** Puts the contents of the media folder into a backup, sealed; those that are there and open are left. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { errorCode, type FileSystem } from '#streams/embedded/files.ts';
import type { MediaLine } from './manifest.ts';
import { seal, sealedBytes, sealedName, unseal } from './sealed-media.ts';
import { BackupProblem, digestOf, writeWhole } from './stored-files.ts';

/** A file of the media folder. */
export interface Content {
  readonly sha256: string;
  readonly file: string;
  readonly bytes: number;
}

/** The files of a media folder that are whole: those with a digest for a name. */
export async function listContents(files: FileSystem, mediaFolder: string): Promise<Content[]> {
  const found: Content[] = [];
  for (const prefix of await files.list(mediaFolder)) {
    if (!/^[0-9a-f]{2}$/.test(prefix)) continue;
    for (const rest of await files.list(path.join(mediaFolder, prefix))) {
      if (!/^[0-9a-f]{62}$/.test(rest)) continue;
      const file = path.join(mediaFolder, prefix, rest);
      const bytes = await sizeOf(files, file);
      if (bytes !== undefined) found.push({ sha256: prefix + rest, file, bytes });
    }
  }
  return found;
}

/** What a {@link MediaCopy} needs. */
export interface MediaCopyOptions {
  readonly files: FileSystem;
  /** The backup's folder. */
  readonly folder: string;
  readonly masterKey: Buffer;
  readonly onKept: (bytes: number) => void;
  readonly onCopied: (bytes: number) => void;
  readonly onWarning: (sentence: string) => void;
  readonly signal?: AbortSignal;
}

/** See the file's comment. */
export class MediaCopy {
  readonly #options: MediaCopyOptions;

  constructor(options: MediaCopyOptions) {
    this.#options = options;
  }

  /** Has a content in the backup. `known`: what an older generation says of it. Undefined where it was removed meanwhile, or is damaged. */
  async put(content: Content, known: MediaLine | undefined): Promise<MediaLine | undefined> {
    const { files, folder, masterKey, onKept } = this.#options;
    const name = `media/${sealedName(masterKey, content.sha256)}`;
    const target = path.join(folder, name);
    const there = await digestOf(files, target);
    if (there !== undefined && (known?.sha256 === there.sha256 || (await this.#opens(target, content.sha256)))) {
      onKept(there.bytes);
      return { content: content.sha256, content_bytes: known?.content_bytes ?? content.bytes, path: name, ...there };
    }
    try {
      return await this.#seal(content, name);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #seal({ sha256, file }: Content, name: string): Promise<MediaLine | undefined> {
    const { files, folder, masterKey, onCopied, onWarning, signal } = this.#options;
    const target = path.join(folder, name);
    const source = await files.open(file, 'read');
    try {
      const size = await source.size();
      const hash = createHash('sha256');
      const sealed = seal(source, masterKey, sha256, (plain) => hash.update(plain));
      const digest = await writeWhole(files, target, sealed, signal);
      if (hash.digest('hex') !== sha256 || digest.bytes !== sealedBytes(size)) {
        await files.remove(target);
        onWarning(`${file} is not what its name says, and was left out: it is damaged.`);
        return undefined;
      }
      onCopied(digest.bytes);
      return { content: sha256, content_bytes: size, path: name, ...digest };
    } finally {
      await source.close();
    }
  }

  async #opens(target: string, sha256: string): Promise<boolean> {
    const { files, masterKey } = this.#options;
    const file = await files.open(target, 'read');
    try {
      const hash = createHash('sha256');
      for await (const chunk of unseal(file, masterKey, sha256)) hash.update(chunk);
      return hash.digest('hex') === sha256;
    } catch (error) {
      if (error instanceof BackupProblem) return false;
      throw error;
    } finally {
      await file.close();
    }
  }
}

async function sizeOf(files: FileSystem, file: string): Promise<number | undefined> {
  try {
    const opened = await files.open(file, 'read');
    try {
      return await opened.size();
    } finally {
      await opened.close();
    }
  } catch (error) {
    // Removed meanwhile.
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
