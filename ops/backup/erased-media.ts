/**
 * Erasures reach the media of a backup: the key of a sealed file is made from the master key and the digest of the content, so nothing
 * but removing the file makes it unreadable. What goes is what records decided, and what the data folder has no more.
 */
import path from 'node:path';
import { ERASURES_STREAM, readComplianceRecord } from '#projections/compliance/records.ts';
import type { FileSystem } from '#streams/embedded/files.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { backupPaths } from './repository.ts';
import { sealedName } from './sealed-media.ts';

export interface ErasedMediaOptions {
  readonly files: FileSystem;
  /** The log's folder. */
  readonly logFolder: string;
  /** The backup's folder. */
  readonly folder: string;
  readonly masterKey: Buffer;
  /** Digests of the contents that the data folder has: the same may have been uploaded again, or by somebody else. */
  readonly present: ReadonlySet<string>;
  readonly signal?: AbortSignal;
}

/** Removes from all generations what was destroyed since; gives how many files. What older generations say of it stays said. */
export async function removeErasedMedia(options: ErasedMediaOptions): Promise<number> {
  const { files, logFolder, folder, masterKey, present, signal } = options;
  const { media } = backupPaths(folder);
  const names = new Map<string, readonly string[]>();
  let removed = 0;
  for (const sha256 of await destroyedContents(logFolder)) {
    signal?.throwIfAborted();
    if (present.has(sha256)) continue;
    const [prefix = '', rest = ''] = sealedName(masterKey, sha256).split('/');
    const there = names.get(prefix) ?? (await files.list(path.join(media, prefix)));
    names.set(prefix, there);
    if (!there.includes(rest)) continue;
    await files.remove(path.join(media, prefix, rest));
    await files.syncFolder(path.join(media, prefix));
    removed++;
  }
  return removed;
}

/** Digests of the contents that records decided to destroy. */
async function destroyedContents(logFolder: string): Promise<Set<string>> {
  const contents = new Set<string>();
  const log = await openLogReadOnly({ folder: logFolder });
  try {
    for await (const record of log.readStream(ERASURES_STREAM)) {
      const read = readComplianceRecord(record);
      if (read?.kind === 'destruction.decided') for (const sha256 of read.fields.media) contents.add(sha256);
    }
  } finally {
    await log.close();
  }
  return contents;
}
