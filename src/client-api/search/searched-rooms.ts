/** The rooms that a search goes through. */
import type { Reader } from '#projections/engine/reader.ts';
import {
  eventAt,
  findRoom,
  headOf,
  type Room,
  roomById,
  roomsOf,
  stateContent,
  stateHistoryBackwards,
} from '#projections/rooms/queries.ts';
import { rooms as roomsTable } from '#projections/rooms/tables.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { departureOf, RoomVisibility } from '#src/rooms/visibility.ts';

/** How many upgrades of one room are followed back. */
const MAX_PREDECESSORS = 64;
/** Changes of a room's history visibility that are looked at to tell that all of it may be seen. */
const MAX_VISIBILITY_CHANGES = 64;

/** A room that a user is or was in, as they see it. */
export interface SearchedRoom {
  readonly room: Room;
  readonly visibility: RoomVisibility;
  /** Version of the state that they may see. */
  readonly stateVersion: number;
  /** Whether they may see everything that was ever said in it. */
  readonly isOpen: boolean;
}

/** The rooms that a user is in, or was and has not forgotten. Source: client-server API, "Server side search". */
export function* searchedRooms(reader: Reader, userId: string): Generator<SearchedRoom> {
  for (const { room: id, membership, forgotten } of [...roomsOf(reader, userId)]) {
    if (forgotten || membership === 'invite' || membership === 'knock') continue;
    const room = roomById(reader, id);
    const head = room && headOf(reader, id);
    if (room === undefined || head === undefined) continue;
    const visibility = new RoomVisibility(reader, id, userId);
    if (membership === 'join') {
      yield { room, visibility, stateVersion: head.stateVersion, isOpen: isOpen(reader, id) };
      continue;
    }
    const departure = departureOf(reader, id, userId);
    if (departure !== undefined) yield { room, visibility, stateVersion: departure.version, isOpen: false };
  }
}

/** All rooms of the server, or those that are named, whoever is in them. `viewer` is who is shown them. */
export function* roomsOfServer(
  reader: Reader,
  viewer: string,
  roomIds: readonly string[] | undefined,
): Generator<SearchedRoom> {
  const rooms = roomIds === undefined ? allRooms(reader) : roomIds.flatMap((roomId) => findRoom(reader, roomId) ?? []);
  for (const room of rooms) {
    const head = headOf(reader, room.id);
    if (head === undefined) continue;
    const visibility = new RoomVisibility(reader, room.id, viewer);
    yield { room, visibility, stateVersion: head.stateVersion, isOpen: true };
  }
}

function* allRooms(reader: Reader): Generator<Room> {
  for (const [id] of reader.keys(roomsTable)) {
    const room = roomById(reader, id);
    if (room !== undefined) yield room;
  }
}

/** Whether members may see everything from the beginning. */
function isOpen(reader: Reader, room: number): boolean {
  let changes = 0;
  for (const { position } of stateHistoryBackwards(reader, room, 'm.room.history_visibility', '')) {
    if (++changes > MAX_VISIBILITY_CHANGES) return false;
    const event = eventAt(reader, position);
    const content = event === undefined ? {} : (parseJson(event.contentJson) as JsonObject);
    if (content.history_visibility === 'invited' || content.history_visibility === 'joined') return false;
  }
  return true;
}

/** Rooms, and those that they were upgraded from. */
export function withPredecessors(reader: Reader, roomIds: readonly string[]): string[] {
  const all = new Set(roomIds);
  for (const roomId of roomIds) {
    let at = predecessorOf(reader, roomId);
    for (let steps = 0; at !== undefined && !all.has(at) && steps < MAX_PREDECESSORS; steps += 1) {
      all.add(at);
      at = predecessorOf(reader, at);
    }
  }
  return [...all];
}

function predecessorOf(reader: Reader, roomId: string): string | undefined {
  const room = findRoom(reader, roomId);
  const predecessor = room && stateContent(reader, room.id, 'm.room.create')?.predecessor;
  const id = isJsonObject(predecessor) ? predecessor.room_id : undefined;
  return typeof id === 'string' ? id : undefined;
}
