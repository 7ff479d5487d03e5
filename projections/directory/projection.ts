/** The directory projection: room aliases, the rooms that are listed, and those that administrators block. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple } from '#projections/engine/table.ts';
import { readDirectoryRecord } from './records.ts';

/** What an alias points to. */
export interface AliasRow {
  readonly roomId: string;
  /** Who made it, and so may remove it. */
  readonly creator: string;
}

const aliases = defineTable({
  name: 'directory.aliases',
  key: tuple<[alias: string]>(str),
  value: msgpack<AliasRow>(),
  why: 'Requests name rooms by alias.',
});

const roomAliases = defineTable({
  name: 'directory.room-aliases',
  key: tuple<[roomId: string, alias: string]>(str, str),
  value: empty,
  why: 'A room shows its aliases.',
});

const listedRooms = defineTable({
  name: 'directory.listed-rooms',
  key: tuple<[roomId: string]>(str),
  value: empty,
  why: 'Few of the rooms are public; the list of rooms reads only those.',
});

const blockedRooms = defineTable({
  name: 'directory.blocked-rooms',
  key: tuple<[roomId: string]>(str),
  value: str,
  why: 'Whoever comes into a room is asked whether it is one of the few; the value is who blocked it.',
});

export const directoryProjection: Projection = {
  name: 'directory',
  version: 2,
  tables: [aliases, roomAliases, listedRooms, blockedRooms],
  apply(tx, record) {
    const change = readDirectoryRecord(record);
    switch (change?.kind) {
      case 'alias.added':
        tx.put(aliases, [change.alias], { roomId: change.roomId, creator: change.creator });
        tx.put(roomAliases, [change.roomId, change.alias], true);
        return;
      case 'alias.removed': {
        const row = tx.get(aliases, [change.alias]);
        tx.remove(aliases, [change.alias]);
        if (row) tx.remove(roomAliases, [row.roomId, change.alias]);
        return;
      }
      case 'room.listed':
        if (change.isListed) tx.put(listedRooms, [change.roomId], true);
        else tx.remove(listedRooms, [change.roomId]);
        return;
      case 'room.block_changed':
        if (change.isBlocked) tx.put(blockedRooms, [change.roomId], change.by);
        else tx.remove(blockedRooms, [change.roomId]);
        return;
      case undefined:
        return;
    }
  },
};

/** What an alias points to. */
export function findAlias(reader: Reader, alias: string): AliasRow | undefined {
  return reader.get(aliases, [alias]);
}

/** The aliases of a room, in order. */
export function aliasesOf(reader: Reader, roomId: string): string[] {
  return Array.from(reader.keys(roomAliases, { prefix: [roomId] }), ([, alias]) => alias);
}

/** Whether the room is listed in the directory. */
export function isListed(reader: Reader, roomId: string): boolean {
  return reader.has(listedRooms, [roomId]);
}

/** Room ids of the listed rooms, in order. */
export function listedRoomIds(reader: Reader): string[] {
  return Array.from(reader.keys(listedRooms), ([roomId]) => roomId);
}

/** Who blocked a room: the administrator's user id; undefined if nobody did. */
export function blockerOf(reader: Reader, roomId: string): string | undefined {
  return reader.get(blockedRooms, [roomId]);
}
