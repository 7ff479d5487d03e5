/** Keys for encryption, and whose device list changed when. */
import { hash } from 'node:crypto';
import { type AccountRecord, readAccountRecord } from '#projections/accounts/records.ts';
import { userStreams } from '#projections/accounts/tables.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { rooms, userRooms } from '#projections/rooms/tables.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import { type KeyRecord, type KeyRecords, type PublishedKey, readKeyRecord } from './key-records.ts';
import {
  claimedKeys,
  crossSigningKeys,
  deviceKeys,
  fallbackKeys,
  type KeyCountRow,
  type KeyUsage,
  keyCounts,
  keyPlaces,
  keyTables,
  lastListChanges,
  lastOwnChanges,
  listChanges,
  oneTimeKeys,
  ownChanges,
  signatures,
} from './key-tables.ts';

/**
 * How many keys that were given away are remembered for each device and algorithm: more than any client keeps private
 * halves of, so that a key which is uploaded again is known.
 */
export const MAX_CLAIMED_REMEMBERED = 1000;

const DIGEST_BYTES = 16;
const NO_KEYS: KeyCountRow = { unclaimed: 0, claimed: 0 };

export const keysProjection: Projection = {
  name: 'keys',
  version: 1,
  tables: keyTables,
  apply(tx, record) {
    const read = readKeyRecord(record);
    if (read !== undefined) applyKeys(tx, record.position, read);
    else if (record.kind.startsWith('device.') || record.kind === 'user.deactivated') applyDevices(tx, record);
  },
};

/** Names the material of a one-time key. Signatures are left out: making them anew gives others. */
export function keyDigest(keyJson: string): Buffer {
  const value = parseJson(keyJson);
  const material = isJsonObject(value) && typeof value.key === 'string' ? value.key : keyJson;
  return hash('sha256', material, 'buffer').subarray(0, DIGEST_BYTES);
}

function applyKeys(tx: Writer, at: Position, read: KeyRecord): void {
  switch (read.kind) {
    case 'keys.uploaded':
      applyUpload(tx, at, read.fields);
      break;
    case 'keys.claimed':
      for (const key of read.fields.keys) applyClaim(tx, read.fields.userId, key);
      break;
    case 'cross_signing.uploaded':
      applyCrossSigning(tx, at, read.fields);
      break;
    case 'signatures.uploaded':
      applySignatures(tx, at, read.fields);
      break;
  }
}

function applyUpload(tx: Writer, at: Position, fields: KeyRecords['keys.uploaded']): void {
  const { userId, deviceId, deviceKeysJson } = fields;
  if (deviceKeysJson !== null) {
    const before = tx.get(deviceKeys, [userId, deviceId]);
    // Everything that was signed with another identity is of no use any more.
    if (before !== undefined && identityOf(before, deviceId) !== identityOf(deviceKeysJson, deviceId)) {
      forgetDevice(tx, userId, deviceId);
    }
    tx.put(deviceKeys, [userId, deviceId], deviceKeysJson);
    markList(tx, at, userId);
  }
  for (const [index, key] of fields.oneTimeKeys.entries()) addOneTimeKey(tx, fields, key, [at, index]);
  for (const { algorithm, keyId, keyJson } of fields.fallbackKeys) {
    tx.put(fallbackKeys, [userId, deviceId, algorithm], { keyId, keyJson, isUsed: false });
  }
}

function identityOf(deviceKeysJson: string, deviceId: string): string | undefined {
  const value = parseJson(deviceKeysJson);
  const keys = isJsonObject(value) ? value.keys : undefined;
  const key = isJsonObject(keys) ? keys[`ed25519:${deviceId}`] : undefined;
  return typeof key === 'string' ? key : undefined;
}

function addOneTimeKey(
  tx: Writer,
  { userId, deviceId }: KeyRecords['keys.uploaded'],
  { algorithm, keyId, keyJson }: PublishedKey,
  [at, index]: readonly [at: Position, index: number],
): void {
  const digest = keyDigest(keyJson);
  const before = tx.get(keyPlaces, [userId, deviceId, algorithm, keyId]);
  if (before !== undefined) {
    if (!before.isClaimed || Buffer.compare(before.digest, digest) === 0) return;
    forgetClaimed(tx, [userId, deviceId, algorithm, before.at, before.index], keyId);
  }
  tx.put(oneTimeKeys, [userId, deviceId, algorithm, at, index], [keyId, keyJson]);
  tx.put(keyPlaces, [userId, deviceId, algorithm, keyId], { at, index, digest, isClaimed: false });
  count(tx, [userId, deviceId, algorithm], 1, 0);
}

function applyClaim(tx: Writer, userId: string, key: KeyRecords['keys.claimed']['keys'][number]): void {
  const { deviceId, algorithm, keyId, isFallback } = key;
  if (isFallback) {
    const row = tx.get(fallbackKeys, [userId, deviceId, algorithm]);
    if (row?.keyId === keyId) tx.put(fallbackKeys, [userId, deviceId, algorithm], { ...row, isUsed: true });
    return;
  }
  const place = tx.get(keyPlaces, [userId, deviceId, algorithm, keyId]);
  if (place === undefined || place.isClaimed) return;
  const { at, index } = place;
  tx.remove(oneTimeKeys, [userId, deviceId, algorithm, at, index]);
  tx.put(keyPlaces, [userId, deviceId, algorithm, keyId], { ...place, isClaimed: true });
  tx.put(claimedKeys, [userId, deviceId, algorithm, at, index], keyId);
  count(tx, [userId, deviceId, algorithm], -1, 1);
  const { claimed } = tx.get(keyCounts, [userId, deviceId, algorithm]) ?? NO_KEYS;
  if (claimed <= MAX_CLAIMED_REMEMBERED) return;
  for (const oldest of tx.range(claimedKeys, { prefix: [userId, deviceId, algorithm], limit: 1 })) {
    forgetClaimed(tx, oldest.key, oldest.value);
    return;
  }
}

function forgetClaimed(
  tx: Writer,
  place: readonly [userId: string, deviceId: string, algorithm: string, at: number, index: number],
  keyId: string,
): void {
  const [userId, deviceId, algorithm] = place;
  if (!tx.remove(claimedKeys, place)) return;
  tx.remove(keyPlaces, [userId, deviceId, algorithm, keyId]);
  count(tx, [userId, deviceId, algorithm], 0, -1);
}

function count(
  tx: Writer,
  key: readonly [userId: string, deviceId: string, algorithm: string],
  unclaimed: number,
  claimed: number,
): void {
  const row = tx.get(keyCounts, key) ?? NO_KEYS;
  tx.put(keyCounts, key, { unclaimed: row.unclaimed + unclaimed, claimed: row.claimed + claimed });
}

function applyCrossSigning(tx: Writer, at: Position, fields: KeyRecords['cross_signing.uploaded']): void {
  const { userId, masterJson, selfSigningJson, userSigningJson } = fields;
  const before = tx.get(crossSigningKeys, [userId, 'master']);
  if (masterJson !== null && before !== undefined && publicKeyOf(before) !== publicKeyOf(masterJson)) {
    // What the former master key signed hangs in the air.
    tx.removeRange(crossSigningKeys, { prefix: [userId] });
    const formerKey = publicKeyOf(before);
    if (formerKey !== undefined) tx.removeRange(signatures, { prefix: [userId, formerKey] });
  }
  const put = (usage: KeyUsage, json: string | null): void => {
    if (json !== null) tx.put(crossSigningKeys, [userId, usage], json);
  };
  put('master', masterJson);
  put('self_signing', selfSigningJson);
  put('user_signing', userSigningJson);
  // Nobody else ever sees a user-signing key.
  if (masterJson !== null || selfSigningJson !== null) markList(tx, at, userId);
  else markForOne(tx, at, userId, userId);
}

/** The public key that a cross-signing key is, in unpadded base64. */
export function publicKeyOf(crossSigningKeyJson: string): string | undefined {
  const value = parseJson(crossSigningKeyJson);
  const keys = isJsonObject(value) ? value.keys : undefined;
  const [key] = isJsonObject(keys) ? Object.values(keys) : [];
  return typeof key === 'string' ? key : undefined;
}

function applySignatures(
  tx: Writer,
  at: Position,
  { userId, signatures: made }: KeyRecords['signatures.uploaded'],
): void {
  for (const { targetUserId, targetKeyId, signingKeyId, signature } of made) {
    tx.put(signatures, [targetUserId, targetKeyId, userId, signingKeyId], signature);
    if (targetUserId === userId) markList(tx, at, userId);
    else markForOne(tx, at, userId, targetUserId);
  }
}

function applyDevices(tx: Writer, record: LogRecord): void {
  const userId = tx.get(userStreams, [record.stream]);
  const read = userId === undefined ? undefined : readAccountRecord(record);
  if (userId === undefined || read === undefined || !isAboutDevices(read)) return;
  if (read.kind === 'device.removed') for (const deviceId of read.fields.deviceIds) removeDevice(tx, userId, deviceId);
  if (read.kind === 'user.deactivated') tx.removeRange(crossSigningKeys, { prefix: [userId] });
  markList(tx, record.position, userId);
}

function isAboutDevices({ kind }: AccountRecord): boolean {
  return kind.startsWith('device.') || kind === 'user.deactivated';
}

function removeDevice(tx: Writer, userId: string, deviceId: string): void {
  tx.remove(deviceKeys, [userId, deviceId]);
  forgetDevice(tx, userId, deviceId);
}

/** Takes away all that belongs to the identity of a device but its own keys. */
function forgetDevice(tx: Writer, userId: string, deviceId: string): void {
  const prefix = [userId, deviceId] as const;
  tx.removeRange(oneTimeKeys, { prefix });
  tx.removeRange(claimedKeys, { prefix });
  tx.removeRange(keyPlaces, { prefix });
  tx.removeRange(keyCounts, { prefix });
  tx.removeRange(fallbackKeys, { prefix });
  tx.removeRange(signatures, { prefix });
}

/** Notes that a user's devices or keys changed, and wakes the user and everybody who shares a room with them. */
function markList(tx: Writer, at: Position, userId: string): void {
  const before = tx.get(lastListChanges, [userId]);
  if (before === at) return;
  if (before !== undefined) tx.remove(listChanges, [before, userId]);
  tx.put(listChanges, [at, userId], true);
  tx.put(lastListChanges, [userId], at);
  tx.touch(`user:${userId}`);
  for (const { key, value } of tx.range(userRooms, { prefix: [userId] })) {
    const room = value.membership === 'join' ? tx.get(rooms, [key[1]]) : undefined;
    if (room !== undefined) tx.touch(`room:${room.roomId}`);
  }
}

function markForOne(tx: Writer, at: Position, viewer: string, userId: string): void {
  const before = tx.get(lastOwnChanges, [viewer, userId]);
  if (before !== undefined) tx.remove(ownChanges, [viewer, before, userId]);
  tx.put(ownChanges, [viewer, at, userId], true);
  tx.put(lastOwnChanges, [viewer, userId], at);
  tx.touch(`user:${viewer}`);
}
