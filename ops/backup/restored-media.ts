/** The media of a restored log: what it names is opened, from the generation that is restored or an older or newer one. */
import path from 'node:path';
import { errorCode, type FileSystem } from '#streams/embedded/files.ts';
import type { Manifest, MediaLine } from './manifest.ts';
import { listGenerations, readManifest, readMediaList } from './repository.ts';
import { unseal } from './sealed-media.ts';
import { BackupProblem, writeWhole } from './stored-files.ts';

/** What {@link openMedia} needs. */
export interface MediaToOpen {
  /** The backup's folder. */
  readonly folder: string;
  /** The restored data folder's media. */
  readonly mediaFolder: string;
  readonly manifest: Manifest;
  readonly masterKey: Buffer;
  /** Digests of the contents that the restored log names. */
  readonly named: ReadonlySet<string>;
  readonly files: FileSystem;
  readonly onWarning: (sentence: string) => void;
  readonly onProgress: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** See the file's comment. Nothing else is opened: what was erased stays sealed. */
export async function openMedia(options: MediaToOpen): Promise<{ mediaFiles: number; missingMedia: string[] }> {
  const { named, signal, onProgress } = options;
  const lines = await linesOf(options);
  const missingMedia: string[] = [];
  let done = 0;
  for (const content of named) {
    signal?.throwIfAborted();
    const line = lines.get(content);
    if (line === undefined || !(await openContent(options, line))) missingMedia.push(content);
    onProgress(++done, named.size);
  }
  return { mediaFiles: named.size - missingMedia.length, missingMedia };
}

async function linesOf({ files, folder, manifest, named }: MediaToOpen): Promise<Map<string, MediaLine>> {
  const lines = new Map<string, MediaLine>();
  const newestFirst = (await listGenerations(files, folder)).toReversed();
  for (const id of [manifest.id, ...newestFirst.filter((one) => one !== manifest.id)]) {
    const other = id === manifest.id ? manifest : await readManifest(files, folder, id).catch(ifUnreadable);
    if (other?.log_id !== manifest.log_id) continue;
    for (const line of (await readMediaList(files, folder, other).catch(ifUnreadable)) ?? []) {
      if (named.has(line.content) && !lines.has(line.content)) lines.set(line.content, line);
    }
  }
  return lines;
}

async function openContent(options: MediaToOpen, { content, path: name }: MediaLine): Promise<boolean> {
  const { files, folder, mediaFolder, masterKey, onWarning, signal } = options;
  const target = path.join(mediaFolder, content.slice(0, 2), content.slice(2));
  const file = await files.open(path.join(folder, name), 'read').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return false;
  try {
    const digest = await writeWhole(files, target, unseal(file, masterKey, content), signal);
    if (digest.sha256 === content) return true;
    await files.remove(target);
    onWarning(`${name} does not hold what its place says; it was left out.`);
    return false;
  } catch (error) {
    // A full disk has a cause, and ends the restore.
    if (!(error instanceof BackupProblem) || error.cause !== undefined) throw error;
    onWarning(error.message);
    return false;
  } finally {
    await file.close();
  }
}

/** What of another generation cannot be read is as if it were not there: it was not asked for. */
function ifUnreadable(error: unknown): undefined {
  if (error instanceof BackupProblem) return undefined;
  throw error;
}
