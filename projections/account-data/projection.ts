/** Account data of users, global and by room, and their filters. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { ACCOUNT_DATA_SET, FILTER_ADDED, readAccountData, readFilter } from './records.ts';

/** Where an entry was set last, and the JSON text of its content: served without being parsed. */
export type EntryRow = readonly [at: Position, contentJson: string];

/** Stands for "no room" in keys: no room id is empty. */
export const GLOBAL = '';

export const entries = defineTable({
  name: 'account-data.entries',
  key: tuple<[userId: string, roomId: string, type: string]>(str, str, str),
  value: msgpack<EntryRow>(),
  why: 'A first sync reads all entries of a user as one range, global ones first.',
  hide: ([userId], entry, { users }) => (users.has(userId) ? undefined : entry),
});

export const changes = defineTable({
  name: 'account-data.changes',
  key: tuple<[userId: string, at: number]>(str, u48),
  value: msgpack<readonly [roomId: string, type: string]>(),
  why: 'What a user set after a position is one range; an entry that is set again moves, so there is one row an entry.',
});

export const entryCounts = defineTable({
  name: 'account-data.entry-counts',
  key: tuple<[userId: string]>(str),
  value: u48,
  why: 'How much one user may keep is bounded, and counting the entries at each change would read them all.',
});

export const filters = defineTable({
  name: 'account-data.filters',
  key: tuple<[userId: string, filterId: string]>(str, str),
  value: str,
  why: 'A sync names its filter; the text is what was uploaded, and the key of the cache of compiled filters.',
  hide: ([userId], filter, { users }) => (users.has(userId) ? undefined : filter),
});

export const accountDataProjection: Projection = {
  name: 'account-data',
  version: 2,
  tables: [entries, changes, entryCounts, filters],
  apply(tx, record) {
    if (record.kind === ACCOUNT_DATA_SET) applyAccountData(tx, record);
    else if (record.kind === FILTER_ADDED) applyFilter(tx, record);
  },
};

function applyAccountData(tx: Writer, record: LogRecord): void {
  const read = readAccountData(record);
  if (read === undefined) return;
  const { userId, roomId = GLOBAL, type, contentJson } = read;
  const before = tx.get(entries, [userId, roomId, type]);
  if (before !== undefined) tx.remove(changes, [userId, before[0]]);
  const difference = Number(contentJson !== null) - Number(before !== undefined);
  if (difference !== 0) tx.put(entryCounts, [userId], (tx.get(entryCounts, [userId]) ?? 0) + difference);
  if (contentJson === null) {
    tx.remove(entries, [userId, roomId, type]);
  } else {
    tx.put(entries, [userId, roomId, type], [record.position, contentJson]);
    tx.put(changes, [userId, record.position], [roomId, type]);
  }
  tx.touch(`user:${userId}`);
}

function applyFilter(tx: Writer, record: LogRecord): void {
  const read = readFilter(record);
  if (read?.filterJson == null) return;
  tx.put(filters, [read.userId, read.filterId], read.filterJson);
}
