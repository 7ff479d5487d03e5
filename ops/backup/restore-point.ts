import { stat } from 'node:fs/promises';
import { dataPaths } from '#src/data-paths.ts';
import { logPaths } from '#streams/embedded/paths.ts';
import type { PrefixLimit } from '#streams/embedded/prefix.ts';
import { UsageError } from '../cli/command.ts';
import { parseTime } from '../cli/stored-rooms.ts';

/**
 * Where `--at` says that the log is to be cut: after a position (a number of at most 12 digits), or at a time.
 * @throws {UsageError}
 */
export function parseRestorePoint(text: string): PrefixLimit {
  if (/^[0-9]{1,12}$/.test(text)) return { records: Number(text) + 1 };
  if (/^[0-9]+$/.test(text)) throw new UsageError(`${text} is no position; write a time as 2026-07-04T12:00:00Z`);
  return { untilMs: parseTime(text) };
}

/** The lists of destroyed keys that count: those that were named, and that of the configured data folder if it has one. */
export async function erasedLists(named: readonly string[], dataDir: string): Promise<string[]> {
  const own = logPaths(dataPaths(dataDir).log).erased;
  const isThere = await stat(own).then(
    () => true,
    () => false,
  );
  return isThere && !named.includes(own) ? [own, ...named] : [...named];
}
