/** Takes in the keys that a device publishes. */
import { devices } from '#projections/accounts/tables.ts';
import {
  deviceKeysJson,
  fallbackKeyCount,
  fallbackKeyOf,
  keyPlaceOf,
  oneTimeKeyCounts,
} from '#projections/encryption/key-queries.ts';
import { keyRecord, type PublishedKey } from '#projections/encryption/key-records.ts';
import { keyDigest } from '#projections/encryption/keys-projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { changeUser, type UserStreamContext } from '#src/client-api/user-stream.ts';
import { invalidParam, MatrixError, unknownToken } from '#src/http/errors.ts';
import type { UploadedKeys } from './uploaded-keys.ts';

/** Most one-time keys that a device may have waiting: clients keep up to a hundred. */
export const MAX_ONE_TIME_KEYS = 1000;
/** Most algorithms that a device may have keys of. */
export const MAX_KEY_ALGORITHMS = 16;

/** A device of a user. */
export interface DeviceName {
  readonly userId: string;
  readonly deviceId: string;
}

/**
 * Stores keys. One-time keys that are there, or were there and have been given away, are not stored again.
 * @throws {MatrixError} `M_UNKNOWN_TOKEN` if the device has gone meanwhile; `M_INVALID_PARAM` for a key that has the name of
 * another one; `M_RESOURCE_LIMIT_EXCEEDED`
 */
export async function uploadKeys(context: UserStreamContext, device: DeviceName, keys: UploadedKeys): Promise<void> {
  const { reader } = context;
  const { userId, deviceId } = device;
  await changeUser(context, userId, () => {
    if (!reader.has(devices, [userId, deviceId])) throw unknownToken();
    const isSame = keys.deviceKeysJson === deviceKeysJson(reader, userId, deviceId);
    const fields = {
      userId,
      deviceId,
      deviceKeysJson: isSame ? null : (keys.deviceKeysJson ?? null),
      oneTimeKeys: keys.oneTimeKeys.filter((key) => isNewKey(reader, device, key)),
      fallbackKeys: keys.fallbackKeys.filter((key) => isNewFallbackKey(reader, device, key)),
    };
    if (fields.deviceKeysJson === null && fields.oneTimeKeys.length + fields.fallbackKeys.length === 0) return [];
    requireRoomFor(reader, device, fields.oneTimeKeys, fields.fallbackKeys);
    return [keyRecord(context.newRecordId(), 'keys.uploaded', fields)];
  });
}

/** How many one-time keys a device has left, by algorithm. */
export function oneTimeKeyCountsOf(reader: Reader, { userId, deviceId }: DeviceName): Map<string, number> {
  return new Map(oneTimeKeyCounts(reader, userId, deviceId));
}

function isNewKey(reader: Reader, { userId, deviceId }: DeviceName, key: PublishedKey): boolean {
  const { algorithm, keyId, keyJson } = key;
  const place = keyPlaceOf(reader, userId, deviceId, algorithm, keyId);
  if (place === undefined) return true;
  const isSame = Buffer.compare(place.digest, keyDigest(keyJson)) === 0;
  if (isSame) return false;
  if (!place.isClaimed) throw invalidParam(`There is another one-time key ${algorithm}:${keyId} already.`);
  return true;
}

function isNewFallbackKey(reader: Reader, { userId, deviceId }: DeviceName, key: PublishedKey): boolean {
  const before = fallbackKeyOf(reader, userId, deviceId, key.algorithm);
  return before?.keyId !== key.keyId || before.keyJson !== key.keyJson;
}

function requireRoomFor(
  reader: Reader,
  device: DeviceName,
  oneTimeKeys: readonly PublishedKey[],
  fallbackKeys: readonly PublishedKey[],
): void {
  const counts = oneTimeKeyCountsOf(reader, device);
  let total = oneTimeKeys.length;
  for (const unclaimed of counts.values()) total += unclaimed;
  const algorithms = new Set([...counts.keys(), ...oneTimeKeys.map(({ algorithm }) => algorithm)]);
  const newFallbackTypes = fallbackKeys.filter(
    ({ algorithm }) => fallbackKeyOf(reader, device.userId, device.deviceId, algorithm) === undefined,
  ).length;
  const fallbackTypes = newFallbackTypes && newFallbackTypes + fallbackKeyCount(reader, device.userId, device.deviceId);
  if (total > MAX_ONE_TIME_KEYS || algorithms.size > MAX_KEY_ALGORITHMS || fallbackTypes > MAX_KEY_ALGORITHMS) {
    throw new MatrixError(
      'M_RESOURCE_LIMIT_EXCEEDED',
      `A device can have at most ${MAX_ONE_TIME_KEYS} one-time keys, and keys of ${MAX_KEY_ALGORITHMS} algorithms.`,
    );
  }
}
