/** Reading what other servers say of the keys of their users: no more of it than fits, and nothing about anybody else. */
import type { RemoteDevice } from '#projections/encryption/remote-device-records.ts';
import { fitsIdLength } from '#protocol/identifiers.ts';
import { isJsonObject, ownValue } from '#protocol/json-object.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import type { ToldKeys } from './query-keys.ts';

/** Largest keys of one device, or one cross-signing key, in characters of JSON. */
export const MAX_TOLD_KEY_CHARACTERS = 64 * 1024;
/** Largest list of devices that is kept, in characters of JSON: it is one record of the log. */
export const MAX_KEPT_LIST_CHARACTERS = 512 * 1024;
/** Longest name of a device that is kept; what is longer is cut. */
const MAX_DEVICE_NAME_CHARACTERS = 256;

/** The devices of a user as the user's server listed them. */
export interface DeviceList {
  readonly streamId: number;
  readonly devices: readonly RemoteDevice[];
  readonly masterJson: string | null;
  readonly selfSigningJson: string | null;
}

/** Whether a value can be the id of a device. */
export function isDeviceId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && fitsIdLength(value) && value.isWellFormed();
}

/** Whether a value can number a change of a list. */
export function isStreamId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value);
}

/** What an answer of `/user/devices/{userId}` says; undefined if it makes no sense or is larger than what is kept. */
export function deviceListOf(answer: JsonObject, userId: string): DeviceList | undefined {
  const { user_id: owner, stream_id: streamId, devices: listed } = answer;
  if ((owner !== undefined && owner !== userId) || !isStreamId(streamId) || !Array.isArray(listed)) return undefined;
  const devices = new Map<string, RemoteDevice>();
  for (const entry of listed as readonly JsonValue[]) {
    if (!isJsonObject(entry) || !isDeviceId(entry.device_id)) continue;
    const { device_id: deviceId, keys, device_display_name: name } = entry;
    devices.set(deviceId, {
      deviceId,
      keysJson: toldDeviceKeysJson(keys, userId, deviceId),
      displayName: toldDeviceName(name),
    });
  }
  const list = {
    streamId,
    devices: [...devices.values()],
    masterJson: toldSigningKeyJson(answer.master_key, userId, 'master'),
    selfSigningJson: toldSigningKeyJson(answer.self_signing_key, userId, 'self_signing'),
  };
  let characters = (list.masterJson?.length ?? 0) + (list.selfSigningJson?.length ?? 0);
  for (const { deviceId, keysJson, displayName } of list.devices) {
    characters += deviceId.length + (keysJson?.length ?? 0) + (displayName?.length ?? 0);
  }
  return characters > MAX_KEPT_LIST_CHARACTERS ? undefined : list;
}

/** JSON text of a device's keys; null for what is none, or somebody else's. */
export function toldDeviceKeysJson(keys: JsonValue | undefined, userId: string, deviceId: string): string | null {
  const own = ownDeviceKeys(keys, userId, deviceId);
  return own === undefined ? null : boundedText(own);
}

/** What a device is called; null for nothing. */
export function toldDeviceName(name: JsonValue | undefined): string | null {
  return typeof name === 'string' && name !== '' ? name.slice(0, MAX_DEVICE_NAME_CHARACTERS).toWellFormed() : null;
}

/** JSON text of a cross-signing key; null for what is none, or somebody else's. */
export function toldSigningKeyJson(
  key: JsonValue | undefined,
  userId: string,
  usage: 'master' | 'self_signing',
): string | null {
  const own = ownSigningKey(key, userId, usage);
  return own === undefined ? null : boundedText(own);
}

/** What an answer of `/user/keys/query` says of a user; undefined if that is nothing. */
export function toldKeysOf(answer: JsonObject, userId: string): ToldKeys | undefined {
  const ofUser = memberOf(answer.device_keys, userId);
  const master = ownSigningKey(memberOf(answer.master_keys, userId), userId, 'master');
  const selfSigning = ownSigningKey(memberOf(answer.self_signing_keys, userId), userId, 'self_signing');
  if (!isJsonObject(ofUser) && master === undefined && selfSigning === undefined) return undefined;
  const devices = new Map<string, JsonObject>();
  for (const [deviceId, keys] of Object.entries(isJsonObject(ofUser) ? ofUser : {})) {
    const own = isDeviceId(deviceId) ? ownDeviceKeys(keys, userId, deviceId) : undefined;
    if (own !== undefined && boundedText(own) !== null) devices.set(deviceId, own);
  }
  return { devices, master, selfSigning };
}

/** A member of what should be an object. */
export function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(value) ? ownValue(value, name) : undefined;
}

function ownDeviceKeys(keys: JsonValue | undefined, userId: string, deviceId: string): JsonObject | undefined {
  if (!isJsonObject(keys)) return undefined;
  const { user_id: owner = userId, device_id: device = deviceId } = keys;
  return owner === userId && device === deviceId ? keys : undefined;
}

function ownSigningKey(key: JsonValue | undefined, userId: string, usage: string): JsonObject | undefined {
  if (!isJsonObject(key) || key.user_id !== userId || !isJsonObject(key.keys)) return undefined;
  const usages: unknown = key.usage;
  if (!Array.isArray(usages) || !usages.includes(usage)) return undefined;
  const [publicKey, ...others] = Object.values(key.keys);
  const isOneKey = typeof publicKey === 'string' && fitsIdLength(publicKey) && others.length === 0;
  return isOneKey && boundedText(key) !== null ? key : undefined;
}

function boundedText(value: JsonObject): string | null {
  const text = JSON.stringify(value);
  return text.length > MAX_TOLD_KEY_CHARACTERS ? null : text;
}
