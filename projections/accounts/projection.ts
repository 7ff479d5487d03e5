/** Accounts, devices, sessions and registration tokens, from the records of accounts. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import type { LogRecord } from '#streams/event-log.ts';
import { type AccountRecord, type AccountRecords, readAccountRecord } from './records.ts';
import {
  accessTokens,
  type DeviceRow,
  departing,
  devices,
  erased,
  guests,
  refreshTokens,
  registrationTokens,
  type TokenPair,
  type UserRow,
  userStreams,
  users,
} from './tables.ts';

/** Whose record it is, and what it is. */
interface Change {
  readonly tx: Writer;
  readonly userId: string;
  readonly record: LogRecord;
}

export const accountsProjection: Projection = {
  name: 'accounts',
  version: 7,
  tables: [users, guests, erased, userStreams, devices, accessTokens, refreshTokens, registrationTokens, departing],
  apply(tx, record) {
    const read = readAccountRecord(record);
    if (read === undefined) return;
    if (isOfToken(read)) applyToToken(tx, read);
    else if (read.kind === 'user.registered') register(tx, record, read.fields);
    else applyToUser(tx, record, read);
  },
};

/** What is touched when an account, its devices or its sessions change. */
export function accountTopic(userId: string): string {
  return `account:${userId}`;
}

type TokenRecord = Extract<AccountRecord, { kind: `registration_token.${string}` }>;

function isOfToken(read: AccountRecord): read is TokenRecord {
  return read.kind.startsWith('registration_token.');
}

function applyToToken(tx: Writer, { kind, fields }: TokenRecord): void {
  const { token } = fields;
  const row = tx.get(registrationTokens, [token]);
  if (kind === 'registration_token.removed') {
    tx.remove(registrationTokens, [token]);
    return;
  }
  const { usesAllowed, expiresAtMs } = fields as AccountRecords['registration_token.created'];
  if (kind === 'registration_token.changed' && row === undefined) return;
  const completed = kind === 'registration_token.changed' ? (row?.completed ?? 0) : 0;
  tx.put(registrationTokens, [token], { usesAllowed, completed, expiresAtMs });
}

function register(tx: Writer, record: LogRecord, fields: AccountRecords['user.registered']): void {
  const { userId, isAdmin, isGuest = false, registrationToken, passwordHash } = fields;
  tx.put(userStreams, [record.stream], userId);
  tx.put(users, [userId], {
    stream: record.stream,
    createdAtMs: record.recordedAtMs,
    isAdmin,
    isGuest,
    isSuspended: false,
    isLocked: false,
    isShadowBanned: false,
    keysReplaceableUntilMs: 0,
    allowance: null,
    isDeactivated: false,
    isErased: false,
    passwordHash,
    passwordAt: record.position,
  });
  if (isGuest) tx.put(guests, [userId], true);
  if (registrationToken !== null) useRegistrationToken(tx, registrationToken);
  tx.touch(accountTopic(userId));
}

function registerGuest(change: Change, fields: AccountRecords['user.guest_registered']): void {
  const { tx, userId, record } = change;
  const { registrationToken, passwordHash } = fields;
  updateUser(change, { isGuest: false, passwordHash, passwordAt: record.position });
  tx.remove(guests, [userId]);
  if (registrationToken !== null) useRegistrationToken(tx, registrationToken);
}

function useRegistrationToken(tx: Writer, token: string): void {
  const row = tx.get(registrationTokens, [token]);
  if (row === undefined) return;
  const { usesAllowed, completed, expiresAtMs } = row;
  tx.put(registrationTokens, [token], { usesAllowed, completed: completed + 1, expiresAtMs });
}

/** A record of a user who is there. */
type UserRecord = Exclude<AccountRecord, TokenRecord | { kind: 'user.registered' }>;

function applyToUser(tx: Writer, record: LogRecord, read: UserRecord): void {
  const userId = tx.get(userStreams, [record.stream]);
  // The stream of a user whose first record was erased belongs to nobody any more.
  if (userId === undefined) return;
  applyChange({ tx, userId, record }, read);
  tx.touch(accountTopic(userId));
}

function applyChange(change: Change, read: UserRecord): void {
  switch (read.kind) {
    case 'user.guest_registered':
      registerGuest(change, read.fields);
      break;
    case 'user.password_changed':
      updateUser(change, { passwordHash: read.fields.passwordHash, passwordAt: change.record.position });
      break;
    case 'user.admin_changed':
      updateUser(change, { isAdmin: read.fields.isAdmin });
      break;
    case 'user.suspension_changed':
      updateUser(change, { isSuspended: read.fields.isSuspended });
      break;
    case 'user.shadow_ban_changed':
      updateUser(change, { isShadowBanned: read.fields.isShadowBanned });
      break;
    case 'user.key_replacement_allowed':
      updateUser(change, { keysReplaceableUntilMs: read.fields.untilMs });
      break;
    case 'user.rate_limit_changed':
      updateUser(change, { allowance: read.fields.allowance });
      break;
    case 'user.lock_changed':
      updateUser(change, { isLocked: read.fields.isLocked });
      break;
    case 'user.deactivated':
      updateUser(change, {
        isAdmin: false,
        isSuspended: false,
        isLocked: false,
        isShadowBanned: false,
        isDeactivated: true,
        isErased: read.fields.isErased,
        passwordHash: null,
      });
      change.tx.remove(guests, [change.userId]);
      if (read.fields.isErased) change.tx.put(erased, [change.userId], true);
      change.tx.put(departing, [change.userId], true);
      break;
    case 'user.departed':
      change.tx.remove(departing, [change.userId]);
      break;
    case 'device.added':
      addDevice(change, read.fields);
      break;
    case 'device.renamed':
      updateDevice(change, read.fields.deviceId, { displayName: read.fields.displayName });
      break;
    case 'device.removed':
      for (const deviceId of read.fields.deviceIds) removeDevice(change, deviceId);
      break;
    case 'session.started':
      startSession(change, read.fields);
      break;
    case 'session.refreshed':
      refreshSession(change, read.fields);
      break;
    case 'session.confirmed':
      confirmSession(change, read.fields);
      break;
  }
}

function updateUser({ tx, userId }: Change, changes: Partial<UserRow>): void {
  const row = tx.get(users, [userId]);
  if (row !== undefined) tx.put(users, [userId], { ...row, ...changes });
}

function updateDevice({ tx, userId }: Change, deviceId: string, changes: Partial<DeviceRow>): void {
  const row = tx.get(devices, [userId, deviceId]);
  if (row !== undefined) tx.put(devices, [userId, deviceId], { ...row, ...changes });
}

function addDevice({ tx, userId, record }: Change, { deviceId, displayName }: AccountRecords['device.added']): void {
  tx.put(devices, [userId, deviceId], {
    displayName,
    createdAtMs: record.recordedAtMs,
    tokensAtMs: record.recordedAtMs,
    current: null,
    previous: null,
    spent: null,
  });
}

function removeDevice({ tx, userId }: Change, deviceId: string): void {
  const row = tx.get(devices, [userId, deviceId]);
  if (row === undefined) return;
  for (const pair of [row.current, row.previous, row.spent]) forget(tx, pair);
  tx.remove(devices, [userId, deviceId]);
}

function startSession(change: Change, fields: AccountRecords['session.started']): void {
  const { tx, userId, record } = change;
  const { deviceId, accessHash, accessExpiresAtMs, refreshHash, isLent, lentTo } = fields;
  const row = tx.get(devices, [userId, deviceId]);
  if (row === undefined) return;
  for (const pair of [row.current, row.previous, row.spent]) forget(tx, pair);
  const current = {
    access: accessHash,
    accessExpiresAtMs,
    refresh: refreshHash,
    ...(isLent && { isLent }),
    ...(lentTo && { lentTo }),
  };
  remember(change, deviceId, current);
  updateDevice(change, deviceId, { tokensAtMs: record.recordedAtMs, current, previous: null, spent: null });
}

function refreshSession(change: Change, fields: AccountRecords['session.refreshed']): void {
  const { tx, userId, record } = change;
  const { deviceId, presentedHash, accessHash, accessExpiresAtMs, refreshHash } = fields;
  const row = tx.get(devices, [userId, deviceId]);
  if (row === undefined || row.current === null) return;
  const next = { access: accessHash, accessExpiresAtMs, refresh: refreshHash };
  if (isSame(row.current.refresh, presentedHash)) {
    // Presenting the newest refresh token is a use of the newest pair: the one before it is spent.
    const spent = row.previous === null ? row.spent : row.previous;
    if (row.previous !== null) forget(tx, row.spent);
    updateDevice(change, deviceId, { tokensAtMs: record.recordedAtMs, current: next, previous: row.current, spent });
  } else if (isSame(row.previous?.refresh, presentedHash)) {
    // The client never got the newest pair: another takes its place.
    forget(tx, row.current);
    updateDevice(change, deviceId, { tokensAtMs: record.recordedAtMs, current: next });
  } else {
    return;
  }
  remember(change, deviceId, next);
}

function confirmSession(change: Change, { deviceId, accessHash }: AccountRecords['session.confirmed']): void {
  const { tx, userId } = change;
  const row = tx.get(devices, [userId, deviceId]);
  if (row === undefined || row.previous === null || !isSame(row.current?.access, accessHash)) return;
  forget(tx, row.spent);
  updateDevice(change, deviceId, { previous: null, spent: row.previous });
}

function remember({ tx, userId }: Change, deviceId: string, pair: TokenPair): void {
  tx.put(accessTokens, [pair.access], { userId, deviceId });
  if (pair.refresh !== null) tx.put(refreshTokens, [pair.refresh], { userId, deviceId });
}

function forget(tx: Writer, pair: TokenPair | null): void {
  if (pair === null) return;
  tx.remove(accessTokens, [pair.access]);
  if (pair.refresh !== null) tx.remove(refreshTokens, [pair.refresh]);
}

/** Whether two hashes are there and equal. */
export function isSame(a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): boolean {
  return a !== null && a !== undefined && b !== null && b !== undefined && Buffer.compare(a, b) === 0;
}
