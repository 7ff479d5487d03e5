/** A witness's folder: its key, what it remembers of each log, and the notes that prove what went wrong. */

import { hash } from 'node:crypto';
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Lock, LogInUse, takeLock } from '#streams/embedded/lock.ts';
import { type Cosigner, newCosignerText, parseCosigner } from '#streams/transparency/cosignature.ts';
import type { WitnessedMisbehaviour } from '#streams/transparency/witness.ts';

/** Most pairs of notes that are kept; with so many there is no doubt left. */
const MAX_EVIDENCE = 1_000;

/** The paths of a witness. */
export function witnessPaths(folder: string) {
  return {
    key: path.join(folder, 'witness.key'),
    logs: path.join(folder, 'logs'),
    evidence: path.join(folder, 'evidence'),
  };
}

/**
 * The key of a witness; made where there is none and a name is given.
 * @throws {Error} where there is none and no name, or the name is another, or the file holds no key.
 */
export async function openWitnessKey(folder: string, name: string | undefined): Promise<Cosigner> {
  const file = witnessPaths(folder).key;
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text !== undefined) {
    const cosigner = parseCosigner(text.trim());
    if (name !== undefined && name !== cosigner.verifier.name) {
      throw new Error(`${file} is the key of ${cosigner.verifier.name}: a witness keeps its name`);
    }
    return cosigner;
  }
  if (name === undefined) throw new Error(`there is no key in ${file}: name the witness with --name to make one`);
  // What it remembers without its key is of a witness that is gone: under a new key it would begin anew in silence.
  const remembered = await readdir(witnessPaths(folder).logs).catch(() => []);
  if (remembered.length > 0)
    throw new Error(`${file} is missing, but the witness has cosigned. Put it back from a copy`);
  const made = newCosignerText(name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(`${made}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return parseCosigner(made);
}

/**
 * Lets one process at a time be the witness of a folder: two would not know what the other has cosigned, and could be made to
 * cosign two histories. @throws {Error} where there is another
 */
export async function lockWitness(folder: string): Promise<Lock> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    return await takeLock(path.join(folder, 'lock'));
  } catch (error) {
    if (!(error instanceof LogInUse)) throw error;
    throw new Error(`another process is the witness of ${folder}: stop it first`, { cause: error });
  }
}

/** Keeps both notes: together they show what a log did. Gives the file, or undefined where there are enough. */
export async function keepEvidence(folder: string, misbehaviour: WitnessedMisbehaviour): Promise<string | undefined> {
  const { evidence } = witnessPaths(folder);
  await mkdir(evidence, { recursive: true, mode: 0o700 });
  if ((await readdir(evidence)).length >= MAX_EVIDENCE) return undefined;
  const text = JSON.stringify(misbehaviour, undefined, 2);
  const file = path.join(evidence, `${misbehaviour.kind}-${hash('sha256', text, 'hex').slice(0, 16)}.json`);
  await writeFile(file, `${text}\n`);
  return file;
}
