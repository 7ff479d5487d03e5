/** Times and durations on the command line. */
import { parseDuration } from '#src/config/quantity.ts';
import { UsageError } from './command.ts';

const BEGINNING_OF_DAY = 'T00:00:00.000Z';
/** For an option up to which something goes: a day is meant with the whole of it. */
export const END_OF_DAY = 'T23:59:59.999Z';

/**
 * Milliseconds since the epoch of a time; a date alone is meant with its beginning, unless another time of day is given.
 * @throws {UsageError} for what is none.
 */
export function timeOption(option: string, text: string | undefined, ofDate = BEGINNING_OF_DAY): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}${ofDate}` : text);
  if (Number.isNaN(ms)) throw new UsageError(`${option} ${text} is not a time such as 2026-01-31 or 2026-01-31T12:00Z`);
  return ms;
}

/** Milliseconds of a duration such as `8h`. @throws {UsageError} for what is none, and for none at all. */
export function durationOption(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const durationMs = parseDuration(text);
  if (durationMs === undefined || durationMs === 0) {
    throw new UsageError(`${option} ${text} is not a duration such as 8h or 30d`);
  }
  return durationMs;
}
