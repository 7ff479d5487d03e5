import path from 'node:path';
import type { FileSystem } from '#streams/embedded/files.ts';
import { readCheckpoint } from '#streams/transparency/checkpoint.ts';
import { type PastCheckpoint, parsePastCheckpoint } from '#streams/transparency/tile-files.ts';
import type { Manifest } from './manifest.ts';
import { listGenerations, readManifest } from './repository.ts';
import { BackupProblem, digestOf, readSmall } from './stored-files.ts';

const MAX_HISTORY_BYTES = 256 * 1024 * 1024;

/**
 * Checkpoints of the old log that a backup knows and that speak of no more than so many records, by size: those that the server
 * kept, and those of this generation and older ones.
 * @throws {BackupProblem} where what the server kept is not what the manifest says
 */
export async function pastCheckpoints(
  files: FileSystem,
  folder: string,
  manifest: Manifest,
  records: number,
  onWarning: (sentence: string) => void,
): Promise<PastCheckpoint[]> {
  const entries = await keptByServer(files, folder, manifest);
  for (const id of await listGenerations(files, folder)) {
    if (id > manifest.id) break;
    const other = await readManifest(files, folder, id).catch((error: unknown) => {
      if (!(error instanceof BackupProblem)) throw error;
      onWarning(error.message);
      return undefined;
    });
    if (other?.log_id !== manifest.log_id || other.log_key !== manifest.log_key) continue;
    entries.push({ publishedAtMs: other.made_at_ms, checkpoint: other.checkpoint });
  }
  const sizeOf = ({ checkpoint }: PastCheckpoint) => readCheckpoint(checkpoint).size;
  return entries.filter((entry) => sizeOf(entry) <= records).sort((a, b) => sizeOf(a) - sizeOf(b));
}

async function keptByServer(files: FileSystem, folder: string, manifest: Manifest): Promise<PastCheckpoint[]> {
  const note = manifest.notes.find(({ path: name }) => name.endsWith('/checkpoints.jsonl'));
  if (note === undefined) return [];
  const file = path.join(folder, note.path);
  if ((await digestOf(files, file))?.sha256 !== note.sha256) {
    throw new BackupProblem(`${file} is missing or not what the manifest says.`);
  }
  const text = (await readSmall(files, file, MAX_HISTORY_BYTES))?.toString('utf8') ?? '';
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const entry = parsePastCheckpoint(line);
      if (entry === undefined) throw new BackupProblem(`${file} has a line that is no checkpoint.`);
      return entry;
    });
}
