/**
 * The keys of users as others may see them.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
 */
import { devices, users } from '#projections/accounts/tables.ts';
import { publicKeyOf } from '#projections/encryption/key-changes.ts';
import {
  crossSigningKeyJson,
  type DeviceKeys,
  deviceKeysJson,
  deviceKeysOf,
  remoteDeviceName,
  signaturesBy,
} from '#projections/encryption/key-queries.ts';
import type { KeyUsage } from '#projections/encryption/key-tables.ts';
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

/** What other servers have to do with an answer. */
export interface RemotePart {
  /** Users whose lists are kept here, and up to date. */
  readonly kept: ReadonlySet<string>;
  /** What the servers of other users said just now. */
  readonly told: ReadonlyMap<string, ToldKeys>;
  /** Servers that did not answer → why. */
  readonly failures: ReadonlyMap<string, object>;
}

/** The keys of a user as the user's server told them, by device id and usage. */
export interface ToldKeys {
  readonly devices: ReadonlyMap<string, JsonObject>;
  readonly master: JsonObject | undefined;
  readonly selfSigning: JsonObject | undefined;
}

const NOTHING_REMOTE: RemotePart = { kept: new Set(), told: new Map(), failures: new Map() };

/** JSON text of the answer to a key query of `viewer`. Users that neither this server nor `remote` has are left out. */
export async function queryKeys(
  reader: Reader,
  viewer: string,
  wanted: DevicesWanted,
  remote: RemotePart = NOTHING_REMOTE,
): Promise<string> {
  const ofDevices: [string, string][] = [];
  const ofUsers: Record<KeyUsage, [string, string][]> = { master: [], self_signing: [], user_signing: [] };
  for (const [userId, deviceIds] of Object.entries(wanted)) {
    if (sharedPacer.isDue) await sharedPacer.pause();
    const told = remote.told.get(userId);
    const isHere = reader.has(users, [userId]) || remote.kept.has(userId);
    if (!isHere && told === undefined) continue;
    ofDevices.push([userId, isHere ? devicesText(reader, userId, deviceIds) : toldDevicesText(told, deviceIds)]);
    for (const usage of ['master', 'self_signing', 'user_signing'] as const) {
      if (usage === 'user_signing' && userId !== viewer) continue;
      const json = isHere
        ? crossSigningText(reader, viewer, userId, usage)
        : toldCrossSigningText(reader, viewer, userId, told, usage);
      if (json !== undefined) ofUsers[usage].push([userId, json]);
    }
  }
  const failures = [...remote.failures].map(([server, why]): [string, string] => [server, JSON.stringify(why)]);
  const members: [string, string][] = [
    ['device_keys', objectText(ofDevices)],
    ['failures', objectText(failures)],
  ];
  for (const [usage, entries] of Object.entries(ofUsers)) {
    members.push([CROSS_SIGNING_MEMBERS[usage as KeyUsage], objectText(entries)]);
  }
  return objectText(members);
}

function toldDevicesText(told: ToldKeys | undefined, deviceIds: readonly string[]): string {
  const wanted = new Set(deviceIds);
  const entries: [string, string][] = [];
  for (const [deviceId, keys] of told?.devices ?? []) {
    if (wanted.size === 0 || wanted.has(deviceId)) entries.push([deviceId, JSON.stringify(keys)]);
  }
  return objectText(entries);
}

function toldCrossSigningText(
  reader: Reader,
  viewer: string,
  userId: string,
  told: ToldKeys | undefined,
  usage: KeyUsage,
): string | undefined {
  const key = usage === 'master' ? told?.master : usage === 'self_signing' ? told?.selfSigning : undefined;
  return key && JSON.stringify(signedCrossSigningKey(reader, viewer, userId, JSON.stringify(key)));
}

/** A user's devices by device id, each with the signatures that its owner made with other keys. */
function devicesText(reader: Reader, userId: string, deviceIds: readonly string[]): string {
  const found = deviceIds.length === 0 ? deviceKeysOf(reader, userId) : someDevices(reader, userId, deviceIds);
  const entries: [string, string][] = [];
  for (const { deviceId, json } of found) {
    const displayName =
      reader.get(devices, [userId, deviceId])?.displayName ?? remoteDeviceName(reader, userId, deviceId);
    const keys = signedDeviceKeys(reader, userId, deviceId, json);
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

/** A device's keys as others may see them; undefined where it has none. */
export function deviceKeysFor(reader: Reader, userId: string, deviceId: string): JsonObject | undefined {
  const json = deviceKeysJson(reader, userId, deviceId);
  return json === undefined ? undefined : signedDeviceKeys(reader, userId, deviceId, json);
}

function signedDeviceKeys(reader: Reader, userId: string, deviceId: string, json: string): JsonObject {
  return withSignatures(json, [[userId, signaturesBy(reader, userId, deviceId, userId)]]);
}

/**
 * A user's cross-signing key as `viewer` may see it: with the signatures of its owner and those that the viewer made, no
 * others, so that nobody learns who has verified whom.
 */
export function crossSigningKeyFor(
  reader: Reader,
  viewer: string,
  userId: string,
  usage: KeyUsage,
): JsonObject | undefined {
  const json = crossSigningKeyJson(reader, userId, usage);
  return json === undefined ? undefined : signedCrossSigningKey(reader, viewer, userId, json);
}

/** The same as JSON text. */
export function crossSigningText(reader: Reader, viewer: string, userId: string, usage: KeyUsage): string | undefined {
  const key = crossSigningKeyFor(reader, viewer, userId, usage);
  return key && JSON.stringify(key);
}

function signedCrossSigningKey(reader: Reader, viewer: string, userId: string, json: string): JsonObject | undefined {
  const keyId = publicKeyOf(json);
  if (keyId === undefined) return undefined;
  const signers = [...new Set([userId, viewer])];
  return withSignatures(
    json,
    signers.map((signer) => [signer, signaturesBy(reader, userId, keyId, signer)]),
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
