/**
 * Safe copies: a compacted copy of an environment that is wholly on the disk, to start from when the machine stopped while
 * the environment was in use. A copy is its data and a seal, `seal.json`, written last: its size and checksum.
 */
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { readIfThere, syncPath, writeDurably } from './durable-files.ts';
import type { Environment } from './environment.ts';

export const SAFE_COPY_NAME = /^safe-(\d{1,9})$/;
const UNFINISHED_NAME = 'copying';
const DATA_FILE = 'data.mdb';
const SEAL_FILE = 'seal.json';
/** How many times the environment's size must be free on the disk before it is copied. */
const ROOM_FACTOR = 2;
/** Read at once when a copy is checked. */
const READ_BYTES = 1024 * 1024;

interface Seal {
  readonly fingerprint: string;
  readonly sizeBytes: number;
  readonly crc32c: number;
}

/** A copy would not leave enough room on the disk for what matters more: the log. */
export class NoRoomForCopy extends Error {
  override readonly name = 'NoRoomForCopy';
}

/**
 * Makes a copy and, once it is on the disk, removes the one before. Other work goes on meanwhile, also in the environment.
 * Throws {@link NoRoomForCopy}, or what the file system says; nothing is left of a copy that failed.
 */
export async function makeSafeCopy(dir: string, environment: Environment, fingerprint: string): Promise<void> {
  await checkRoom(dir, environment);
  const unfinished = join(dir, UNFINISHED_NAME);
  await rm(unfinished, { recursive: true, force: true });
  try {
    await mkdir(unfinished, { mode: 0o700 });
    await copyInto(unfinished, environment, fingerprint);
    const older = await copiesOf(dir);
    const number = Number(SAFE_COPY_NAME.exec(older[0] ?? '')?.[1] ?? 0) + 1;
    await rename(unfinished, join(dir, `safe-${number}`));
    await syncPath(dir);
    for (const name of older) await rm(join(dir, name), { recursive: true, force: true });
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

async function copyInto(unfinished: string, environment: Environment, fingerprint: string): Promise<void> {
  await environment.copyTo(unfinished);
  const data = join(unfinished, DATA_FILE);
  await syncPath(data);
  const seal: Seal = { fingerprint, sizeBytes: (await stat(data)).size, crc32c: await checksum(data) };
  await writeDurably(join(unfinished, SEAL_FILE), `${JSON.stringify(seal)}\n`);
}

async function checkRoom(dir: string, environment: Environment): Promise<void> {
  const [{ bavail, bsize }, { size }] = await Promise.all([statfs(dir), stat(join(environment.path, DATA_FILE))]);
  const needed = ROOM_FACTOR * size;
  if (bavail * bsize >= needed) return;
  throw new NoRoomForCopy(`a safe copy of the projections in ${dir} waits until ${needed} bytes of the disk are free`);
}

/** The latest copy that is whole and was made by projections of this fingerprint. */
export async function findSafeCopy(dir: string, fingerprint: string): Promise<string | undefined> {
  for (const name of await copiesOf(dir)) {
    const folder = join(dir, name);
    if (await isWhole(folder, fingerprint)) return folder;
  }
  return undefined;
}

/** Removes copies that no program can use any more: those of other fingerprints. */
export async function removeOutdatedCopies(dir: string, fingerprint: string): Promise<void> {
  for (const name of await copiesOf(dir)) {
    const folder = join(dir, name);
    if ((await readSeal(folder))?.fingerprint !== fingerprint) await rm(folder, { recursive: true, force: true });
  }
}

/** Removes all copies. */
export async function removeSafeCopies(dir: string): Promise<void> {
  for (const name of await copiesOf(dir)) await rm(join(dir, name), { recursive: true, force: true });
  await rm(join(dir, UNFINISHED_NAME), { recursive: true, force: true });
  await syncPath(dir);
}

/** Names of copies, the latest first. */
async function copiesOf(dir: string): Promise<string[]> {
  const numberOf = (name: string): number => Number(SAFE_COPY_NAME.exec(name)?.[1]);
  return (await readdir(dir)).filter((name) => SAFE_COPY_NAME.test(name)).sort((a, b) => numberOf(b) - numberOf(a));
}

async function readSeal(folder: string): Promise<Seal | undefined> {
  try {
    const seal = JSON.parse((await readIfThere(join(folder, SEAL_FILE))) ?? 'null') as Seal | null;
    return seal ?? undefined;
  } catch {
    return undefined;
  }
}

async function isWhole(folder: string, fingerprint: string): Promise<boolean> {
  const seal = await readSeal(folder);
  if (seal === undefined || seal.fingerprint !== fingerprint) return false;
  try {
    const data = join(folder, DATA_FILE);
    return (await stat(data)).size === seal.sizeBytes && (await checksum(data)) === seal.crc32c;
  } catch {
    return false;
  }
}

async function checksum(path: string): Promise<number> {
  let sum = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) sum = crc32c(chunk as Buffer, sum);
  return sum;
}
