/**
 * The keys of users as others may see them.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
 */
import { devices, users } from '#projections/accounts/tables.ts';
import {
  crossSigningKeyJson,
  type DeviceKeys,
  deviceKeysJson,
  deviceKeysOf,
  signaturesBy,
} from '#projections/encryption/key-queries.ts';
import type { KeyUsage } from '#projections/encryption/key-tables.ts';
import { publicKeyOf } from '#projections/encryption/keys-projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { objectText } from './json-text.ts';

/** Whose keys are wanted: user → device ids, none for all devices. */
export type DevicesWanted = Readonly<Record<string, readonly string[]>>;

/** The members of an answer that are maps from user ids. */
const CROSS_SIGNING_MEMBERS: Readonly<Record<KeyUsage, string>> = {
  master: 'master_keys',
  self_signing: 'self_signing_keys',
  user_signing: 'user_signing_keys',
};

/** JSON text of the answer to a key query of `viewer`. Users that this server does not have are left out. */
export async function queryKeys(reader: Reader, viewer: string, wanted: DevicesWanted): Promise<string> {
  const ofDevices: [string, string][] = [];
  const ofUsers: Record<KeyUsage, [string, string][]> = { master: [], self_signing: [], user_signing: [] };
  for (const [userId, deviceIds] of Object.entries(wanted)) {
    if (sharedPacer.isDue) await sharedPacer.pause();
    if (!reader.has(users, [userId])) continue;
    ofDevices.push([userId, devicesText(reader, userId, deviceIds)]);
    for (const usage of ['master', 'self_signing', 'user_signing'] as const) {
      const json =
        usage === 'user_signing' && userId !== viewer ? undefined : crossSigningText(reader, viewer, userId, usage);
      if (json !== undefined) ofUsers[usage].push([userId, json]);
    }
  }
  const members: [string, string][] = [
    ['device_keys', objectText(ofDevices)],
    ['failures', '{}'],
  ];
  for (const [usage, entries] of Object.entries(ofUsers)) {
    members.push([CROSS_SIGNING_MEMBERS[usage as KeyUsage], objectText(entries)]);
  }
  return objectText(members);
}

/** A user's devices by device id, each with the signatures that its owner made with other keys. */
function devicesText(reader: Reader, userId: string, deviceIds: readonly string[]): string {
  const found = deviceIds.length === 0 ? deviceKeysOf(reader, userId) : someDevices(reader, userId, deviceIds);
  const entries: [string, string][] = [];
  for (const { deviceId, json } of found) {
    const displayName = reader.get(devices, [userId, deviceId])?.displayName ?? undefined;
    const keys = withSignatures(json, [[userId, signaturesBy(reader, userId, deviceId, userId)]]);
    entries.push([deviceId, JSON.stringify({ ...keys, unsigned: { device_display_name: displayName } })]);
  }
  return objectText(entries);
}

function* someDevices(reader: Reader, userId: string, deviceIds: readonly string[]): Generator<DeviceKeys> {
  for (const deviceId of new Set(deviceIds)) {
    const json = deviceKeysJson(reader, userId, deviceId);
    if (json !== undefined) yield { deviceId, json };
  }
}

/**
 * JSON text of a user's cross-signing key as `viewer` may see it: with the signatures of its owner and those that the
 * viewer made, no others, so that nobody learns who has verified whom.
 */
export function crossSigningText(reader: Reader, viewer: string, userId: string, usage: KeyUsage): string | undefined {
  const json = crossSigningKeyJson(reader, userId, usage);
  const keyId = json === undefined ? undefined : publicKeyOf(json);
  if (json === undefined || keyId === undefined) return undefined;
  const signers = [...new Set([userId, viewer])];
  return JSON.stringify(
    withSignatures(
      json,
      signers.map((signer) => [signer, signaturesBy(reader, userId, keyId, signer)]),
    ),
  );
}

/** A key with the signatures of these signers: those that it came with, and those that were uploaded later. */
function withSignatures(
  json: string,
  bySigner: readonly (readonly [signer: string, added: Iterable<readonly [string, string]>])[],
): JsonObject {
  const { signatures, ...key } = parseJson(json) as JsonObject;
  const shown: [string, JsonValue][] = [];
  for (const [signer, added] of bySigner) {
    const own = isJsonObject(signatures) && Object.hasOwn(signatures, signer) ? signatures[signer] : undefined;
    const all = { ...(isJsonObject(own) && own), ...Object.fromEntries(added) };
    if (Object.keys(all).length > 0) shown.push([signer, all]);
  }
  // An empty list of signatures is shown where there was one: clients look for it on devices.
  return shown.length === 0 && signatures === undefined ? key : { ...key, signatures: Object.fromEntries(shown) };
}
