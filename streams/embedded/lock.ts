/**
 * One server for one log. The lock is SQLite's exclusive lock on an empty file: the kernel holds it for the process and
 * lets go of it however the process ends, and it holds between containers that share a folder, where process ids and
 * abstract sockets say nothing. (Node itself offers no file locks.)
 */
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { DatabaseSync } from 'node:sqlite';

/** SQLite's result code for a lock that somebody else holds. */
const SQLITE_BUSY = 5;

/** Another process has the log open. */
export class LogInUse extends Error {
  override readonly name = 'LogInUse';
}

export interface Lock {
  release(): void;
}

/** Takes the lock, at once or not at all. Throws {@link LogInUse} when somebody else holds it. */
export async function takeLock(file: string): Promise<Lock> {
  const database = openDatabase(file);
  try {
    database.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!(error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY)) throw error;
    const owner = await readFile(ownerFile(file), 'utf8').catch(() => 'another process');
    throw new LogInUse(
      `the log is in use by ${owner.trim()}: stop that server first, or give this one another data folder.`,
    );
  }
  await writeFile(ownerFile(file), `process ${process.pid} on ${hostname()}\n`);
  return { release: () => database.close() };
}

function openDatabase(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file);
  } catch (error) {
    throw new Error(
      `the lock file ${file} cannot be opened; its folder must be writable for the server: ${String(error)}`,
    );
  }
}

/** Only tells people who holds the lock. */
function ownerFile(file: string): string {
  return `${file}.owner`;
}
