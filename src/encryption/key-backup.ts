/**
 * Backups of room keys, which the server cannot read.
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
 */
import {
  type Backup,
  backedUpKey,
  backedUpKeys,
  backupCount,
  backupOf,
  currentBackup,
  type KeyPlace,
  lastBackupVersion,
} from '#projections/encryption/backup-projection.ts';
import { type BackedUpKey, backupRecord } from '#projections/encryption/backup-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { changeUser, type UserStreamContext } from '#src/client-api/user-stream.ts';
import { invalidParam, MatrixError, notFound } from '#src/http/errors.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { objectText } from './json-text.ts';

/** Most backups that a user may keep beside each other; clients keep one. */
export const MAX_BACKUPS = 100;
/** Most keys in one backup. */
export const MAX_BACKED_UP_KEYS = 1_000_000;
/** Largest authentication data, in bytes of JSON. */
export const MAX_AUTH_DATA_BYTES = 64 * 1024;
/** Keys that are read in one go. */
const KEYS_AT_ONCE = 200;

/** What a request about keys names: all, those of a room, or one. */
export interface KeySelection {
  readonly roomId?: string | undefined;
  readonly sessionId?: string | undefined;
}

/** What the answers to changes of keys say. */
export interface BackupState {
  readonly count: number;
  readonly etag: string;
}

/** A backup that is there. `text` is its version as a client names it. @throws {MatrixError} `M_NOT_FOUND` */
export function requireBackup(reader: Reader, userId: string, text: string): Backup {
  const version = versionOf(text);
  const backup = version === undefined ? undefined : backupOf(reader, userId, version);
  if (backup === undefined || backup.isDeleted) throw notFound('There is no such backup.');
  return backup;
}

function versionOf(text: string): number | undefined {
  return /^[1-9]\d{0,12}$/.test(text) ? Number(text) : undefined;
}

/** The version of a new backup. @throws {MatrixError} `M_RESOURCE_LIMIT_EXCEEDED`, `M_TOO_LARGE` */
export async function createBackup(
  context: UserStreamContext,
  userId: string,
  algorithm: string,
  authData: unknown,
): Promise<string> {
  const authDataJson = authDataText(authData);
  let version = 0;
  await changeUser(context, userId, () => {
    if (backupCount(context.reader, userId) >= MAX_BACKUPS) {
      throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `A user can have at most ${MAX_BACKUPS} backups.`);
    }
    version = lastBackupVersion(context.reader, userId) + 1;
    const fields = { userId, version, algorithm, authDataJson };
    return [backupRecord(context.newRecordId(), 'key_backup.created', fields)];
  });
  return String(version);
}

/** Other authentication data. @throws {MatrixError} `M_NOT_FOUND`, `M_INVALID_PARAM` if the algorithm is another one. */
export async function updateBackup(
  context: UserStreamContext,
  userId: string,
  versionText: string,
  algorithm: string,
  authData: unknown,
): Promise<void> {
  const authDataJson = authDataText(authData);
  await changeUser(context, userId, () => {
    const { version, ...backup } = requireBackup(context.reader, userId, versionText);
    if (backup.algorithm !== algorithm) throw invalidParam('The algorithm of a backup cannot be changed.');
    if (backup.authDataJson === authDataJson) return [];
    return [backupRecord(context.newRecordId(), 'key_backup.updated', { userId, version, authDataJson })];
  });
}

/** Deletes a backup with its keys; one that was deleted before counts as deleted. @throws {MatrixError} `M_NOT_FOUND` */
export async function deleteBackup(context: UserStreamContext, userId: string, versionText: string): Promise<void> {
  await changeUser(context, userId, () => {
    const version = versionOf(versionText);
    if (version === undefined || version > lastBackupVersion(context.reader, userId)) {
      throw notFound('There is no such backup.');
    }
    if (backupOf(context.reader, userId, version)?.isDeleted !== false) return [];
    return [backupRecord(context.newRecordId(), 'key_backup.deleted', { userId, version })];
  });
}

/**
 * Puts keys into the backup in use, where they are better than those that are there.
 * @throws {MatrixError} `M_NOT_FOUND`, `M_WRONG_ROOM_KEYS_VERSION`, `M_RESOURCE_LIMIT_EXCEEDED`
 */
export async function storeKeys(
  context: UserStreamContext,
  userId: string,
  versionText: string,
  keys: readonly BackedUpKey[],
): Promise<BackupState> {
  const { reader } = context;
  await changeUser(context, userId, () => {
    const { version, count } = requireCurrent(reader, userId, versionText);
    const better = keys.filter((key) => {
      const before = backedUpKey(reader, userId, version, key.roomId, key.sessionId);
      return before === undefined || isBetter(key, before);
    });
    if (better.length === 0) return [];
    if (count + better.length > MAX_BACKED_UP_KEYS) {
      throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `A backup has at most ${MAX_BACKED_UP_KEYS} keys.`);
    }
    return [backupRecord(context.newRecordId(), 'key_backup.keys_stored', { userId, version, keys: better })];
  });
  return stateOf(requireBackup(reader, userId, versionText));
}

/** Takes keys out of a backup; none is fine, too. @throws {MatrixError} `M_NOT_FOUND` without the backup */
export async function removeKeys(
  context: UserStreamContext,
  userId: string,
  versionText: string,
  { roomId, sessionId }: KeySelection,
): Promise<BackupState> {
  const { reader } = context;
  await changeUser(context, userId, () => {
    const { version } = requireBackup(reader, userId, versionText);
    if (!hasKeys(reader, userId, version, { roomId, sessionId })) return [];
    const fields = { userId, version, roomId: roomId ?? null, sessionId: sessionId ?? null };
    return [backupRecord(context.newRecordId(), 'key_backup.keys_removed', fields)];
  });
  return stateOf(requireBackup(reader, userId, versionText));
}

function hasKeys(reader: Reader, userId: string, version: number, { roomId, sessionId }: KeySelection): boolean {
  if (roomId !== undefined && sessionId !== undefined) {
    return backedUpKey(reader, userId, version, roomId, sessionId) !== undefined;
  }
  for (const _ of backedUpKeys(reader, userId, version, { roomId, after: undefined, limit: 1 })) return true;
  return false;
}

/** The answer about a backup. */
export function stateOf({ count, etag }: Backup): BackupState {
  return { count, etag: String(etag) };
}

/** JSON text of the information about a backup. */
export function backupText(backup: Backup): string {
  const { count, etag } = stateOf(backup);
  return objectText([
    ['algorithm', JSON.stringify(backup.algorithm)],
    ['auth_data', backup.authDataJson],
    ['count', String(count)],
    ['etag', JSON.stringify(etag)],
    ['version', JSON.stringify(String(backup.version))],
  ]);
}

/** JSON text of a key. */
export function keyText({ firstMessageIndex, forwardedCount, isVerified, sessionDataJson }: BackedUpKey): string {
  return objectText([
    ['first_message_index', String(firstMessageIndex)],
    ['forwarded_count', String(forwardedCount)],
    ['is_verified', String(isVerified)],
    ['session_data', sessionDataJson],
  ]);
}

/** JSON text of the keys of a room: session → key. */
export async function roomKeysText(reader: Reader, userId: string, version: number, roomId: string): Promise<string> {
  const sessions: [string, string][] = [];
  for await (const key of keysInSlices(reader, userId, version, roomId)) sessions.push([key.sessionId, keyText(key)]);
  return objectText([['sessions', objectText(sessions)]]);
}

/** JSON text of all keys of a backup: room → session → key. */
export async function allKeysText(reader: Reader, userId: string, version: number): Promise<string> {
  const rooms = new Map<string, [string, string][]>();
  for await (const key of keysInSlices(reader, userId, version)) {
    const sessions = rooms.get(key.roomId) ?? [];
    rooms.set(key.roomId, sessions);
    sessions.push([key.sessionId, keyText(key)]);
  }
  const texts: [string, string][] = [];
  for (const [roomId, sessions] of rooms) texts.push([roomId, objectText([['sessions', objectText(sessions)]])]);
  return objectText([['rooms', objectText(texts)]]);
}

/** Backups of old accounts are large: they are read in slices, so that nobody else waits for them. */
async function* keysInSlices(
  reader: Reader,
  userId: string,
  version: number,
  roomId?: string,
): AsyncGenerator<BackedUpKey> {
  let after: KeyPlace | undefined;
  for (;;) {
    const slice = [...backedUpKeys(reader, userId, version, { roomId, after, limit: KEYS_AT_ONCE })];
    yield* slice;
    const last = slice.at(-1);
    if (last === undefined || slice.length < KEYS_AT_ONCE) return;
    after = [last.roomId, last.sessionId];
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
}

function requireCurrent(reader: Reader, userId: string, versionText: string): Backup {
  const backup = currentBackup(reader, userId);
  if (backup === undefined) throw notFound('There is no backup.');
  if (String(backup.version) !== versionText) {
    requireBackup(reader, userId, versionText);
    throw new MatrixError('M_WRONG_ROOM_KEYS_VERSION', undefined, {
      extra: { current_version: String(backup.version) },
    });
  }
  return backup;
}

/** Whether a key is to take the place of another: verified before not verified, then earlier, then less forwarded. */
export function isBetter(key: BackedUpKey, than: BackedUpKey): boolean {
  if (key.isVerified !== than.isVerified) return key.isVerified;
  if (key.firstMessageIndex !== than.firstMessageIndex) return key.firstMessageIndex < than.firstMessageIndex;
  return key.forwardedCount < than.forwardedCount;
}

function authDataText(authData: unknown): string {
  const text = JSON.stringify(authData);
  if (Buffer.byteLength(text) > MAX_AUTH_DATA_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `auth_data has at most ${MAX_AUTH_DATA_BYTES} bytes.`);
  }
  return text;
}
