import { UsageError } from './command.ts';

/**
 * Milliseconds since the epoch of a time on the command line; a date alone is meant with its beginning.
 * @throws {UsageError} for what is none.
 */
export function timeOption(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00.000Z` : text);
  if (Number.isNaN(ms)) throw new UsageError(`${option} ${text} is not a time such as 2026-01-31 or 2026-01-31T12:00Z`);
  return ms;
}
