/** Which rooms a case is about, and what they are called. */
import type { Reader } from '#projections/engine/reader.ts';
import { type Room, roomById, roomsOf, stateContent, stateEventPosition } from '#projections/rooms/queries.ts';
import { rooms as roomsTable } from '#projections/rooms/tables.ts';
import { roomNamed } from '../rooms/data-folder.ts';
import type { CaseQuery } from './case-query.ts';

/** A room as an export names it. */
export interface RoomInQuestion {
  readonly room: Room;
  /** Its name now; null where it has none. */
  readonly name: string | null;
  readonly isEncrypted: boolean;
}

/**
 * The rooms that are asked for; without any, those that the users were ever in; without users, all. By their places in the log.
 * @throws {NotOnThisServer} for a room that is asked for and not here.
 */
export function roomsInQuestion(reader: Reader, { users, rooms }: CaseQuery): RoomInQuestion[] {
  return idsOf(reader, users, rooms)
    .sort((a, b) => a - b)
    .flatMap((id) => {
      const room = roomById(reader, id);
      return room === undefined ? [] : [described(reader, room)];
    });
}

function idsOf(reader: Reader, users: readonly string[], rooms: readonly string[]): number[] {
  if (rooms.length > 0) return rooms.map((name) => roomNamed(reader, name).id);
  if (users.length === 0) return Array.from(reader.keys(roomsTable), ([id]) => id);
  const ids = new Set<number>();
  for (const user of users) for (const { room } of roomsOf(reader, user)) ids.add(room);
  return [...ids];
}

function described(reader: Reader, room: Room): RoomInQuestion {
  const name = stateContent(reader, room.id, 'm.room.name')?.['name'];
  return {
    room,
    name: typeof name === 'string' && name !== '' ? name : null,
    isEncrypted: stateEventPosition(reader, room.id, 'm.room.encryption', '') !== undefined,
  };
}
