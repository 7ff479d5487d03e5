import type { Room } from '#projections/rooms/queries.ts';
import { positionOf } from '#src/rooms/as-of.ts';
import type { Position } from '#streams/event-log.ts';
import type { DataFolder } from '../rooms/data-folder.ts';
import { UsageError } from './command.ts';

/** The option of commands that show a room as it was. */
export const AS_OF_OPTION = {
  'as-of': {
    type: 'string',
    value: 'MOMENT',
    description: 'As it was then: an event id, an ISO 8601 time, milliseconds since the epoch, a position in the log',
    defaultText: 'now',
  },
} as const;

/** Position of the last record that counts; undefined without the option. @throws {UsageError} for what is no moment of the room */
export async function asOfPosition(
  { reader, log }: DataFolder,
  room: Room,
  text: string | undefined,
): Promise<Position | undefined> {
  if (text === undefined) return undefined;
  const position = await positionOf(reader, log, room, text);
  if (position === undefined) {
    throw new UsageError(`--as-of takes an event of the room, a time or a position in the log, not ${text}`);
  }
  return position;
}
