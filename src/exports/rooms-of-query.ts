import type { Reader } from '#projections/engine/reader.ts';
import { findRoom, roomById, roomsOf } from '#projections/rooms/queries.ts';
import { rooms as roomsTable } from '#projections/rooms/tables.ts';
import type { ExportQuery } from './exporter.ts';

/**
 * Ids of the rooms of which something may be in an export: those that are asked for; without any, those that the users were ever in;
 * without users, all.
 */
export function roomsOfQuery(reader: Reader, { users, rooms }: Pick<ExportQuery, 'users' | 'rooms'>): string[] {
  if (rooms.length > 0) return rooms.filter((roomId) => findRoom(reader, roomId) !== undefined);
  const ids = new Set<number>();
  if (users.length === 0) for (const [id] of reader.keys(roomsTable)) ids.add(id);
  for (const user of users) for (const { room } of roomsOf(reader, user)) ids.add(room);
  return [...ids].flatMap((id) => roomById(reader, id)?.roomId ?? []);
}
