/**
 * A backup's folder. Files are shared by all generations and named by what is in them; a generation is a folder with a manifest.
 *
 *     segments/<first record>-<digest>.seg   a segment, or the beginning of the one that was being written
 *     timestamps/…                           time stamps of checkpoints, and what they are of
 *     media/<2>/<62>                         sealed, see sealed-media.ts
 *     generations/<id>/manifest              signed; written last, so a generation is whole or is not there
 *     generations/<id>/…                     the list of media, past checkpoints, the settings
 *     keyring/                               unless it is kept elsewhere: keys/, master.key, log-signing.key, signing.key, policy-signing.key
 */
import path from 'node:path';
import type { FileSystem } from '#streams/embedded/files.ts';
import { type Lock, LogInUse, takeLock } from '#streams/embedded/lock.ts';
import { MAX_MANIFEST_LENGTH, type Manifest, type MediaLine, openManifest, parseMediaList } from './manifest.ts';
import { BackupProblem, digestOf, readSmall } from './stored-files.ts';

const MANIFEST = 'manifest';
const MAX_MEDIA_LIST_BYTES = 1024 ** 3;
const GENERATION_ID = /^[0-9]{8}T[0-9]{9}Z-[0-9]+$/;

/** The paths of a backup. */
export function backupPaths(folder: string) {
  return {
    lock: path.join(folder, 'backup.lock'),
    segments: path.join(folder, 'segments'),
    media: path.join(folder, 'media'),
    generations: path.join(folder, 'generations'),
    keyring: path.join(folder, 'keyring'),
  };
}

/** The paths of a keyring that is kept with a backup, or apart from it. */
export function keptKeyringPaths(folder: string) {
  return {
    keys: path.join(folder, 'keys'),
    masterKey: path.join(folder, 'master.key'),
    logSigningKey: path.join(folder, 'log-signing.key'),
    signingKey: path.join(folder, 'signing.key'),
    policySigningKey: path.join(folder, 'policy-signing.key'),
  };
}

/** The id of a generation: when it was made, and how many records are in it. Ids sort by time. */
export function generationId(madeAtMs: number, records: number): string {
  return `${new Date(madeAtMs).toISOString().replace(/[-:.]/g, '')}-${records}`;
}

/** Only one process works in a backup's folder. @throws {BackupProblem} */
export async function lockBackup(files: FileSystem, folder: string): Promise<Lock> {
  await files.makeFolder(folder);
  try {
    return await takeLock(backupPaths(folder).lock);
  } catch (error) {
    if (!(error instanceof LogInUse)) throw error;
    throw new BackupProblem(`another \`stele backup\` is at work in ${folder}.`, { cause: error });
  }
}

/** Ids of the generations that are whole, oldest first. */
export async function listGenerations(files: FileSystem, folder: string): Promise<string[]> {
  const { generations } = backupPaths(folder);
  const whole: string[] = [];
  for (const id of await files.list(generations)) {
    if (GENERATION_ID.test(id) && (await files.list(path.join(generations, id))).includes(MANIFEST)) whole.push(id);
  }
  return whole;
}

/** Where a file of a generation's own is, below the backup's folder. */
export function pathInGeneration(id: string, name: string): string {
  return `generations/${id}/${name}`;
}

/** Where a time stamp, or the checkpoint that it is of, is below the backup's folder. */
export function timestampPath(name: string): string {
  return `timestamps/${name}`;
}

/** The name of such a file, for a path that is one. */
export function timestampName(file: string): string | undefined {
  return /^timestamps\/([^/]+)$/.exec(file)?.[1];
}

/** Where a generation's manifest is, below the backup's folder. */
export function manifestPath(id: string): string {
  return pathInGeneration(id, MANIFEST);
}

/** The manifest of a generation, verified. @throws {BackupProblem} */
export async function readManifest(
  files: FileSystem,
  folder: string,
  id: string,
  trustedKey?: string,
): Promise<Manifest> {
  const file = path.join(folder, manifestPath(id));
  const bytes = await readSmall(files, file, MAX_MANIFEST_LENGTH);
  if (bytes === undefined) throw new BackupProblem(`there is no generation ${id} in ${folder}.`);
  const manifest = openManifest(bytes.toString('utf8'), file, trustedKey);
  if (manifest.id !== id) throw new BackupProblem(`${file} is the manifest of ${manifest.id}.`);
  return manifest;
}

/** The latest generation, or the one of an id. @throws {BackupProblem} where there is none. */
export async function findGeneration(
  files: FileSystem,
  folder: string,
  options: { readonly id?: string; readonly trustedKey?: string } = {},
): Promise<Manifest> {
  const id = options.id ?? (await listGenerations(files, folder)).at(-1);
  if (id === undefined) throw new BackupProblem(`there is no backup in ${folder}.`);
  if (!GENERATION_ID.test(id)) throw new BackupProblem(`${id} is no id of a generation.`);
  return readManifest(files, folder, id, options.trustedKey);
}

/** The media of a generation. @throws {BackupProblem} where the list is not what the manifest says. */
export async function readMediaList(files: FileSystem, folder: string, { media }: Manifest): Promise<MediaLine[]> {
  if (media === null) return [];
  const file = path.join(folder, media.path);
  const digest = await digestOf(files, file);
  if (digest?.sha256 !== media.sha256) {
    throw new BackupProblem(`${file} is missing or not what the manifest says.`);
  }
  const bytes = await readSmall(files, file, MAX_MEDIA_LIST_BYTES);
  return parseMediaList(bytes?.toString('utf8') ?? '', file);
}
