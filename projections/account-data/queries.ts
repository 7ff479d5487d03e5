/** What the account data projection can be asked. All of it reads the committed frontier of the reader, synchronously. */
import type { Reader } from '#projections/engine/reader.ts';
import type { Position } from '#streams/event-log.ts';
import { changes, entries, entryCounts, filters, GLOBAL } from './projection.ts';

/** An entry of somebody's account data. */
export interface AccountDataEntry {
  /** The room that it is of; undefined for global account data. */
  readonly roomId: string | undefined;
  readonly type: string;
  /** JSON text of the content, always an object. */
  readonly contentJson: string;
}

/** JSON text of one entry's content; of global account data without a room. */
export function accountData(reader: Reader, userId: string, type: string, roomId: string = GLOBAL): string | undefined {
  return reader.get(entries, [userId, roomId, type])?.[1];
}

/** Where an entry was set last; undefined if there is none. */
export function accountDataPosition(
  reader: Reader,
  userId: string,
  type: string,
  roomId: string = GLOBAL,
): Position | undefined {
  return reader.get(entries, [userId, roomId, type])?.[0];
}

/** Whether a user set any entry, global or of a room, after a position. */
export function hasAccountDataSince(reader: Reader, userId: string, since: Position): boolean {
  const bounds = since < 0 ? {} : { gt: [userId, since] as const };
  for (const _ of reader.keys(changes, { prefix: [userId], ...bounds, limit: 1 })) return true;
  return false;
}

/** All entries of a user, global ones first, then room by room. */
export function* allAccountData(reader: Reader, userId: string): Generator<AccountDataEntry> {
  for (const { key, value } of reader.range(entries, { prefix: [userId] })) {
    yield { roomId: roomIdOf(key[1]), type: key[2], contentJson: value[1] };
  }
}

/** The entries that a user has in one room: what a first look at that room needs. */
export function* roomAccountData(reader: Reader, userId: string, roomId: string): Generator<AccountDataEntry> {
  for (const { key, value } of reader.range(entries, { prefix: [userId, roomId] })) {
    yield { roomId: roomIdOf(roomId), type: key[2], contentJson: value[1] };
  }
}

/** The entries that were set after a position, global and of rooms, in the order of setting; each once, as it is now. */
export function* accountDataChangesSince(reader: Reader, userId: string, since: Position): Generator<AccountDataEntry> {
  const bounds = since < 0 ? {} : { gt: [userId, since] as const };
  for (const { value } of reader.range(changes, { prefix: [userId], ...bounds })) {
    const [roomId, type] = value;
    const contentJson = accountData(reader, userId, type, roomId);
    if (contentJson !== undefined) yield { roomId: roomIdOf(roomId), type, contentJson };
  }
}

/** How many entries a user has, global and of rooms. */
export function accountDataCount(reader: Reader, userId: string): number {
  return reader.get(entryCounts, [userId]) ?? 0;
}

/** JSON text of a filter as it was uploaded. */
export function filterJson(reader: Reader, userId: string, filterId: string): string | undefined {
  return reader.get(filters, [userId, filterId]);
}

/** How many filters a user has. */
export function filterCount(reader: Reader, userId: string): number {
  return reader.count(filters, { prefix: [userId] });
}

function roomIdOf(keyPart: string): string | undefined {
  return keyPart === GLOBAL ? undefined : keyPart;
}
