/**
 * Writing files of a backup: whole and on the disk before they have their name, so that what a run that was killed left behind
 * is either a file to be trusted or one that the next run writes again.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { errorCode, type FileSystem, isOutOfSpace, type OpenFile } from '#streams/embedded/files.ts';

/** Bytes read and written at once. */
export const CHUNK_BYTES = 1024 * 1024;
/** What a file is called until it is whole. */
export const PART_SUFFIX = '.part';

/** The backup, or what it was to be restored to, cannot go on; the message says what to do. */
export class BackupProblem extends Error {
  override readonly name = 'BackupProblem';
}

/** A file that was written or read. */
export interface Digest {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly bytes: number;
}

/** Told the bytes of each chunk that was read or written. */
export type OnBytes = (bytes: number) => void;

/** The chunks of a file's first `end` bytes; each is valid until the next is asked for. */
export async function* chunksOf(file: OpenFile, end: number, from = 0): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let at = from; at < end; ) {
    const count = await file.read(buffer.subarray(0, Math.min(CHUNK_BYTES, end - at)), at);
    if (count === 0) throw new BackupProblem(`${file.path} ends at ${at}, where ${end} bytes were expected.`);
    yield buffer.subarray(0, count);
    at += count;
  }
}

/** The digest of a file, or of its first bytes; undefined where there is none. */
export async function digestOf(
  files: FileSystem,
  file: string,
  options: { readonly end?: number; readonly onBytes?: OnBytes; readonly signal?: AbortSignal } = {},
): Promise<Digest | undefined> {
  const opened = await openIfThere(files, file);
  if (opened === undefined) return undefined;
  try {
    const end = options.end ?? (await opened.size());
    const hash = createHash('sha256');
    for await (const chunk of chunksOf(opened, end)) {
      options.signal?.throwIfAborted();
      hash.update(chunk);
      options.onBytes?.(chunk.length);
    }
    return { sha256: hash.digest('hex'), bytes: end };
  } finally {
    await opened.close();
  }
}

/**
 * Writes a file under another name and gives it its own when it is whole and on the disk.
 * @throws {BackupProblem} when the disk is full: what was written of this file is gone, all other files stay.
 */
export async function writeWhole(
  files: FileSystem,
  target: string,
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  signal?: AbortSignal,
): Promise<Digest> {
  const part = target + PART_SUFFIX;
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    await files.makeFolder(path.dirname(target));
    const file = await files.open(part, 'create');
    try {
      for await (const chunk of chunks) {
        signal?.throwIfAborted();
        await file.write(chunk, bytes);
        hash.update(chunk);
        bytes += chunk.length;
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    await files.rename(part, target);
    await files.syncFolder(path.dirname(target));
  } catch (error) {
    await files.remove(part).catch(() => undefined);
    throw isOutOfSpace(error) ? diskFull(target, error) : error;
  }
  return { sha256: hash.digest('hex'), bytes };
}

/** Copies the first `end` bytes of a file, or all. See {@link writeWhole}. */
export async function copyFile(
  files: FileSystem,
  from: string,
  to: string,
  options: { readonly end?: number; readonly onBytes?: OnBytes; readonly signal?: AbortSignal } = {},
): Promise<Digest> {
  const source = await files.open(from, 'read');
  try {
    const end = options.end ?? (await source.size());
    const told = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of chunksOf(source, end)) {
        yield chunk;
        options.onBytes?.(chunk.length);
      }
    };
    return await writeWhole(files, to, told(), options.signal);
  } finally {
    await source.close();
  }
}

/** The whole of a small file; undefined where there is none. */
export async function readSmall(files: FileSystem, file: string, maxBytes: number): Promise<Buffer | undefined> {
  const opened = await openIfThere(files, file);
  if (opened === undefined) return undefined;
  try {
    const size = await opened.size();
    if (size > maxBytes) throw new BackupProblem(`${file} has ${size} bytes, more than it can have (${maxBytes}).`);
    const bytes = Buffer.alloc(size);
    return bytes.subarray(0, await opened.read(bytes, 0));
  } finally {
    await opened.close();
  }
}

/** A sentence about a full disk. */
export function diskFull(target: string, cause: unknown): BackupProblem {
  return new BackupProblem(
    `the disk of ${path.dirname(target)} is full. Make room there and run the same command again: what was written before ` +
      'is whole and is not written again.',
    { cause },
  );
}

async function openIfThere(files: FileSystem, file: string): Promise<OpenFile | undefined> {
  try {
    return await files.open(file, 'read');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
