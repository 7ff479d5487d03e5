/** What the commands that read rooms of a data folder share. */

import { NotOnThisServer } from '../rooms/data-folder.ts';
import { type ExitStatus, FINDING, UsageError } from './command.ts';

/** Runs the work; where what was asked for is not there, says so in a sentence. */
export async function sayingWhatIsNotThere(
  say: (line: string) => void,
  work: () => Promise<ExitStatus>,
): Promise<ExitStatus> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NotOnThisServer)) throw error;
    say(`stele: ${error.message}`);
    return FINDING;
  }
}

/** Milliseconds since the epoch, of an ISO 8601 time or of such milliseconds. @throws {UsageError} */
export function parseTime(text: string): number {
  const time = /^[0-9]{5,}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isSafeInteger(time) && Math.abs(time) <= MAX_DATE_MS) return time;
  throw new UsageError(`${text} is no time; write 2026-07-04T12:00:00Z, or milliseconds since the epoch`);
}

/** A place in the log. @throws {UsageError} */
export function parsePosition(text: string): number {
  const position = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(position)) return position;
  throw new UsageError(`${text} is no position in a log; write a whole number`);
}

/** As far as dates go. */
const MAX_DATE_MS = 8_640_000_000_000_000;
