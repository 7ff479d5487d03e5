/** Backups of room keys. */
import { userStreams } from '#projections/accounts/tables.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { defineTable, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import { type BackedUpKey, type BackupRecord, readBackupRecord } from './backup-records.ts';

/** A backup. */
export interface BackupRow {
  readonly algorithm: string;
  /** JSON text. */
  readonly authDataJson: string;
  /** How often its keys have changed. */
  readonly etag: number;
  /** How many keys are in it. */
  readonly count: number;
  /** The row of the last backup stays until there is another, so that its version is never used again. */
  readonly isDeleted: boolean;
}

type KeyRow = readonly [
  firstMessageIndex: number,
  forwardedCount: number,
  isVerified: boolean,
  sessionDataJson: string,
];

const backups = defineTable({
  name: 'key-backup.backups',
  key: tuple<[userId: string, version: number]>(str, u48),
  value: msgpack<BackupRow>(),
  why: 'The backup in use is the last one of its user that is not deleted.',
});

const keys = defineTable({
  name: 'key-backup.keys',
  key: tuple<[userId: string, version: number, roomId: string, sessionId: string]>(str, u48, str, str),
  value: msgpack<KeyRow>(),
  why: 'Keys are asked for by backup, by room, or one: each is a range.',
  hide: ([userId], row, { users }) => (users.has(userId) ? undefined : row),
});

export const backupProjection: Projection = {
  name: 'key-backup',
  version: 1,
  tables: [backups, keys],
  apply(tx, record) {
    const read = readBackupRecord(record);
    if (read !== undefined) {
      applyBackup(tx, read);
    } else if (record.kind === 'user.deactivated') {
      const userId = tx.get(userStreams, [record.stream]);
      if (userId === undefined) return;
      tx.removeRange(backups, { prefix: [userId] });
      tx.removeRange(keys, { prefix: [userId] });
    }
  },
};

/** A backup with its version. */
export interface Backup extends BackupRow {
  readonly version: number;
}

/** A user's backup of a version; one that was deleted may be there or not. */
export function backupOf(reader: Reader, userId: string, version: number): Backup | undefined {
  const row = reader.get(backups, [userId, version]);
  return row && { version, ...row };
}

/** The backup that a user's devices write to. */
export function currentBackup(reader: Reader, userId: string): Backup | undefined {
  for (const { key, value } of reader.range(backups, { prefix: [userId], reverse: true })) {
    if (!value.isDeleted) return { version: key[1], ...value };
  }
  return undefined;
}

/** The version of the last backup that a user has made; 0 if none. */
export function lastBackupVersion(reader: Reader, userId: string): number {
  return reader.seekLast(backups, [userId])?.key[1] ?? 0;
}

/** How many backups a user has that are not deleted. */
export function backupCount(reader: Reader, userId: string): number {
  let count = 0;
  for (const { value } of reader.range(backups, { prefix: [userId] })) if (!value.isDeleted) count += 1;
  return count;
}

/** One key of a backup. */
export function backedUpKey(
  reader: Reader,
  userId: string,
  version: number,
  roomId: string,
  sessionId: string,
): BackedUpKey | undefined {
  const row = reader.get(keys, [userId, version, roomId, sessionId]);
  return row && keyOf(roomId, sessionId, row);
}

/** Where a reading of keys goes on. */
export type KeyPlace = readonly [roomId: string, sessionId: string];

/** The keys of a backup, or of one room in it, by room and session; after a place, at most `limit`. */
export function* backedUpKeys(
  reader: Reader,
  userId: string,
  version: number,
  {
    roomId,
    after,
    limit,
  }: { readonly roomId: string | undefined; readonly after: KeyPlace | undefined; readonly limit: number },
): Generator<BackedUpKey> {
  const bounds = after && { gt: [userId, version, ...after] as const };
  const prefix = roomId === undefined ? ([userId, version] as const) : ([userId, version, roomId] as const);
  for (const { key, value } of reader.range(keys, { prefix, ...bounds, limit })) yield keyOf(key[2], key[3], value);
}

function keyOf(roomId: string, sessionId: string, row: KeyRow): BackedUpKey {
  const [firstMessageIndex, forwardedCount, isVerified, sessionDataJson] = row;
  return { roomId, sessionId, firstMessageIndex, forwardedCount, isVerified, sessionDataJson };
}

function applyBackup(tx: Writer, { kind, fields }: BackupRecord): void {
  const { userId, version } = fields;
  if (kind === 'key_backup.created') {
    const { algorithm, authDataJson } = fields;
    const last = tx.seekLast(backups, [userId]);
    if (last?.value.isDeleted === true) tx.remove(backups, last.key);
    tx.put(backups, [userId, version], { algorithm, authDataJson, etag: 0, count: 0, isDeleted: false });
    return;
  }
  const row = tx.get(backups, [userId, version]);
  if (row === undefined || row.isDeleted) return;
  const put = (changes: Partial<BackupRow>): void => tx.put(backups, [userId, version], { ...row, ...changes });
  const etag = row.etag + 1;
  switch (kind) {
    case 'key_backup.updated':
      put({ authDataJson: fields.authDataJson });
      break;
    case 'key_backup.deleted':
      tx.removeRange(keys, { prefix: [userId, version] });
      if (lastBackupVersion(tx, userId) === version) put({ authDataJson: 'null', count: 0, isDeleted: true });
      else tx.remove(backups, [userId, version]);
      break;
    case 'key_backup.keys_stored':
      put({ etag, count: row.count + storeKeys(tx, userId, version, fields.keys) });
      break;
    case 'key_backup.keys_removed':
      put({ etag, count: row.count - removeKeys(tx, fields) });
      break;
  }
}

/** How many of them were not there before. */
function storeKeys(tx: Writer, userId: string, version: number, stored: readonly BackedUpKey[]): number {
  let added = 0;
  for (const key of stored) {
    const { roomId, sessionId, firstMessageIndex, forwardedCount, isVerified, sessionDataJson } = key;
    if (!tx.has(keys, [userId, version, roomId, sessionId])) added += 1;
    tx.put(
      keys,
      [userId, version, roomId, sessionId],
      [firstMessageIndex, forwardedCount, isVerified, sessionDataJson],
    );
  }
  return added;
}

function removeKeys(
  tx: Writer,
  { userId, version, roomId, sessionId }: Extract<BackupRecord, { kind: 'key_backup.keys_removed' }>['fields'],
): number {
  if (roomId === null) return tx.removeRange(keys, { prefix: [userId, version] });
  if (sessionId === null) return tx.removeRange(keys, { prefix: [userId, version, roomId] });
  return Number(tx.remove(keys, [userId, version, roomId, sessionId]));
}
