/**
 * The mark beside an environment's data: who may trust it. LMDB runs unsynced, so its file is whole only as long as the
 * machine has not stopped since it was opened, or after it was closed and synced.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, writeDurably } from './durable-files.ts';

const MARK_FILE = 'mark.json';
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/**
 * `open`: in use, or left by a process that ended without closing it; whole if the machine still runs.
 * `closed`: synced. `suspect`: found damaged; never used again.
 */
export type MarkState = 'open' | 'closed' | 'suspect';

export interface Mark {
  readonly state: MarkState;
  /** The machine's boot id when it was opened. */
  readonly bootId: string;
  /** See fingerprintOf. */
  readonly fingerprint: string;
}

/** Writes an environment's mark; it is on the disk when this resolves. */
export async function writeMark(folder: string, mark: Mark): Promise<void> {
  await writeDurably(join(folder, MARK_FILE), `${JSON.stringify(mark)}\n`);
}

/** The mark of an environment, or undefined if there is none that can be read. */
export async function readMark(folder: string): Promise<Mark | undefined> {
  const text = await readIfThere(join(folder, MARK_FILE));
  if (text === undefined) return undefined;
  try {
    const { state, bootId, fingerprint } = JSON.parse(text) as Partial<Mark>;
    const isMark =
      (state === 'open' || state === 'closed' || state === 'suspect') &&
      typeof bootId === 'string' &&
      typeof fingerprint === 'string';
    return isMark ? { state, bootId, fingerprint } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What changes whenever the machine starts. Where the system does not tell, it is different each time, so that an
 * environment that was not closed is never trusted.
 */
export async function machineBootId(): Promise<string> {
  try {
    return (await readFile(BOOT_ID_FILE, 'utf8')).trim();
  } catch {
    return `unknown-${crypto.randomUUID()}`;
  }
}
