/** Keys for encryption, and whose device list changed when. */
import { hash } from 'node:crypto';
import { type AccountRecord, readAccountRecord } from '#projections/accounts/records.ts';
import { userStreams } from '#projections/accounts/tables.ts';
import { BACKUP_RESTORED } from '#projections/backups/records.ts';
import type { Projection } from '#projections/engine/projection.ts';
import type { Writer } from '#projections/engine/reader.ts';
import { DISPOSITION_KIND } from '#projections/rooms/disposition-record.ts';
import { MEMBERS_TOLD_KIND } from '#projections/rooms/partial-records.ts';
import { PDU_KIND } from '#projections/rooms/pdu-record.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import {
  forgetDevice,
  identityOf,
  markForOne,
  markList,
  publicKeyOf,
  publish,
  publishJoin,
  publishToMembersTold,
} from './key-changes.ts';
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
  lastPublished,
  oneTimeKeys,
  outdatedLists,
  remoteLists,
  signatures,
} from './key-tables.ts';
import { readRemoteDeviceRecord } from './remote-device-records.ts';
import { applyRemoteDevices, forgetStrangers } from './remote-devices.ts';

/**
 * How many keys that were given away are remembered for each device and algorithm: more than any client keeps private
 * halves of, so that a key which is uploaded again is known.
 */
export const MAX_CLAIMED_REMEMBERED = 1000;

const DIGEST_BYTES = 16;
const NO_KEYS: KeyCountRow = { unclaimed: 0, claimed: 0 };

export const keysProjection: Projection = {
  name: 'keys',
  version: 5,
  tables: keyTables,
  apply(tx, record) {
    if (record.kind === BACKUP_RESTORED) {
      voidAfterRestore(tx, record.position);
      return;
    }
    const read = readKeyRecord(record);
    if (read !== undefined) applyKeys(tx, record.position, read);
    const remote = readRemoteDeviceRecord(record);
    if (remote !== undefined) applyRemoteDevices(tx, record.position, remote);
    else if (record.kind === PDU_KIND || record.kind === DISPOSITION_KIND) {
      forgetStrangers(tx, record);
      publishJoin(tx, record);
    } else if (record.kind === MEMBERS_TOLD_KIND) publishToMembersTold(tx, record);
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

/**
 * After a restore nobody knows which keys were given away in the part of the log that is gone, nor what other servers told of
 * their users' devices. So every one-time key counts as given away, and stays known as such; fallback keys count as used; devices
 * upload new ones. The lists of other servers are asked for anew.
 */
function voidAfterRestore(tx: Writer, at: Position): void {
  for (const { key, value } of [...tx.range(oneTimeKeys, {})]) {
    const [userId, deviceId, algorithm] = key;
    applyClaim(tx, userId, { deviceId, algorithm, keyId: value[0], isFallback: false });
    tx.touch(`user:${userId}`);
  }
  for (const { key, value } of [...tx.range(fallbackKeys, {})]) {
    if (!value.isUsed) tx.put(fallbackKeys, key, { ...value, isUsed: true });
  }
  for (const { key, value } of [...tx.range(remoteLists, {})]) {
    const [userId] = key;
    tx.put(remoteLists, key, { ...value, isOutdated: true });
    tx.put(outdatedLists, [userId], true);
    markList(tx, at, userId);
  }
  for (const [userId] of [...tx.keys(lastPublished, {})]) {
    const deviceIds = Array.from(tx.keys(deviceKeys, { prefix: [userId] }), ([, deviceId]) => deviceId);
    publish(tx, at, userId, { deviceIds, hasSigningKeys: true });
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
    publish(tx, at, userId, { deviceIds: [deviceId] });
  }
  for (const [index, key] of fields.oneTimeKeys.entries()) addOneTimeKey(tx, fields, key, [at, index]);
  for (const { algorithm, keyId, keyJson } of fields.fallbackKeys) {
    tx.put(fallbackKeys, [userId, deviceId, algorithm], { keyId, keyJson, isUsed: false });
  }
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
  if (masterJson !== null || selfSigningJson !== null) {
    markList(tx, at, userId);
    publish(tx, at, userId, { hasSigningKeys: true });
  } else {
    markForOne(tx, at, userId, userId);
  }
}

function applySignatures(
  tx: Writer,
  at: Position,
  { userId, signatures: made }: KeyRecords['signatures.uploaded'],
): void {
  for (const { targetUserId, targetKeyId, signingKeyId, signature } of made) {
    tx.put(signatures, [targetUserId, targetKeyId, userId, signingKeyId], signature);
    if (targetUserId !== userId) {
      markForOne(tx, at, userId, targetUserId);
      continue;
    }
    markList(tx, at, userId);
    const isDevice = tx.has(deviceKeys, [userId, targetKeyId]);
    publish(tx, at, userId, isDevice ? { deviceIds: [targetKeyId] } : { hasSigningKeys: true });
  }
}

function applyDevices(tx: Writer, record: LogRecord): void {
  const userId = tx.get(userStreams, [record.stream]);
  const read = userId === undefined ? undefined : readAccountRecord(record);
  if (userId === undefined || read === undefined || !isAboutDevices(read)) return;
  const at = record.position;
  const hasKeys = (deviceId: string): boolean => tx.has(deviceKeys, [userId, deviceId]);
  if (read.kind === 'device.renamed' && hasKeys(read.fields.deviceId)) {
    publish(tx, at, userId, { deviceIds: [read.fields.deviceId] });
  } else if (read.kind === 'device.removed') {
    publish(tx, at, userId, { deviceIds: read.fields.deviceIds.filter(hasKeys) });
    for (const deviceId of read.fields.deviceIds) removeDevice(tx, userId, deviceId);
  } else if (read.kind === 'user.deactivated' && tx.removeRange(crossSigningKeys, { prefix: [userId] }) > 0) {
    publish(tx, at, userId, { hasSigningKeys: true });
  }
  markList(tx, at, userId);
}

function isAboutDevices({ kind }: AccountRecord): boolean {
  return kind.startsWith('device.') || kind === 'user.deactivated';
}

function removeDevice(tx: Writer, userId: string, deviceId: string): void {
  tx.remove(deviceKeys, [userId, deviceId]);
  forgetDevice(tx, userId, deviceId);
}
