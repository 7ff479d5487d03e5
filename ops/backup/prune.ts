/**
 * Removes generations of a backup that are not wanted any more, and the files that no other generation needs: also those that a run
 * left which was broken off. Whether a generation may go is not decided here: holds and minimum retention may say that it has to stay.
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { diskFiles, type FileSystem } from '#streams/embedded/files.ts';
import type { Manifest } from './manifest.ts';
import {
  backupPaths,
  listGenerations,
  lockBackup,
  manifestPath,
  readManifest,
  readMediaList,
  timestampPath,
} from './repository.ts';
import { BackupProblem } from './stored-files.ts';

/** Of what a generation is the last copy: records that no other has (of a log that was restored), files of media that no other has. */
export interface OnlyCopy {
  readonly log: boolean;
  readonly media: boolean;
}

/** A decision on a generation: why it may not go, or undefined. */
export type PruneDecision = (manifest: Manifest, onlyCopy: OnlyCopy) => string | undefined;

/** What is pruned. */
export interface PruneOptions {
  readonly folder: string;
  /** So many of the newest generations stay; at least one. */
  readonly keepLast: number;
  /** Those made at this moment or after it stay: milliseconds since the epoch. */
  readonly keepSinceMs?: number;
  readonly decide: PruneDecision;
  /** Only these may go: those that were put on record. Default: all that are due. */
  readonly only?: ReadonlySet<string>;
  /** Only say what would go. */
  readonly isTrial?: boolean;
  readonly files?: FileSystem;
  readonly signal?: AbortSignal;
}

/** What pruning did, or would do. */
export interface PruneReport {
  readonly removed: readonly string[];
  /** Due, and kept since something says so. */
  readonly kept: readonly { readonly generation: string; readonly reason: string }[];
  /** Files that no generation needs any more. */
  readonly filesRemoved: number;
}

/** See the file's comment. @throws {BackupProblem} where a generation that stays cannot be read: nothing is removed then. */
export async function pruneBackup(options: PruneOptions): Promise<PruneReport> {
  const files = options.files ?? diskFiles;
  const { folder, isTrial = false } = options;
  if (!(options.keepLast >= 1)) throw new BackupProblem('at least one generation stays.');
  const lock = await lockBackup(files, folder);
  try {
    const ids = await listGenerations(files, folder);
    const manifests = await Promise.all(ids.map((id) => readManifest(files, folder, id)));
    const removed: Manifest[] = [];
    const kept: { generation: string; reason: string }[] = [];
    const { only, keepSinceMs = Number.MAX_SAFE_INTEGER } = options;
    const isDue = ({ id, made_at_ms: madeAtMs }: Manifest) => madeAtMs < keepSinceMs && (only?.has(id) ?? true);
    const due = manifests.slice(0, -options.keepLast).filter(isDue);
    const staying = manifests.filter((manifest) => !due.includes(manifest));
    const needed = await neededFiles(files, folder, staying);
    // From the newest on: one that is kept may make an older one not the only copy of something.
    for (const manifest of due.toReversed()) {
      const reason = options.decide(manifest, {
        log: !staying.some((other) => other.log_key === manifest.log_key && other.records >= manifest.records),
        media: (await readMediaList(files, folder, manifest)).some(({ path: name }) => !needed.has(name)),
      });
      if (reason === undefined) {
        removed.unshift(manifest);
        continue;
      }
      kept.unshift({ generation: manifest.id, reason });
      staying.push(manifest);
      for (const name of await neededFiles(files, folder, [manifest])) needed.add(name);
    }
    if (!isTrial) {
      for (const { id } of removed) {
        options.signal?.throwIfAborted();
        // Without its manifest a generation is not one any more, whatever is left of it.
        await files.remove(path.join(folder, manifestPath(id)));
        await files.syncFolder(path.join(backupPaths(folder).generations, id));
      }
      const { generations } = backupPaths(folder);
      const whole = new Set(staying.map(({ id }) => id));
      for (const id of await files.list(generations)) {
        if (!whole.has(id)) await rm(path.join(generations, id), { recursive: true, force: true });
      }
    }
    const unneeded = await unneededFiles(files, folder, needed);
    if (!isTrial) for (const file of unneeded) await files.remove(path.join(folder, file));
    return { removed: removed.map(({ id }) => id), kept, filesRemoved: unneeded.length };
  } finally {
    lock.release();
  }
}

async function neededFiles(files: FileSystem, folder: string, manifests: readonly Manifest[]): Promise<Set<string>> {
  const needed = new Set<string>();
  for (const manifest of manifests) {
    for (const { path: name } of manifest.segments) needed.add(name);
    for (const { path: name } of manifest.notes) needed.add(name);
    for (const { path: name } of await readMediaList(files, folder, manifest)) needed.add(name);
  }
  return needed;
}

async function unneededFiles(files: FileSystem, folder: string, needed: ReadonlySet<string>): Promise<string[]> {
  const found = (await files.list(backupPaths(folder).segments)).map((name) => `segments/${name}`);
  for (const name of await files.list(path.join(folder, timestampPath('')))) found.push(timestampPath(name));
  for (const prefix of await files.list(backupPaths(folder).media)) {
    for (const name of await files.list(path.join(backupPaths(folder).media, prefix))) {
      found.push(`media/${prefix}/${name}`);
    }
  }
  return found.filter((name) => !needed.has(name));
}
