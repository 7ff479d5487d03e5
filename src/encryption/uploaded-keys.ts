/**
 * What a device may publish: shape and size of its keys.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload
 */
import { z } from 'zod';
import type { PublishedKey } from '#projections/encryption/key-records.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import type { JsonObject, JsonValue } from '#protocol/pdu.ts';
import { badJson, invalidParam, MatrixError } from '#src/http/errors.ts';

/** Largest keys of a device itself, in bytes of JSON: a few keys and signatures, and room to spare. */
export const MAX_DEVICE_KEYS_BYTES = 32 * 1024;
/** Largest one-time or fallback key, in bytes of JSON. */
export const MAX_KEY_BYTES = 4 * 1024;
/** Longest name of a one-time or fallback key, `<algorithm>:<key id>`, in bytes. */
export const MAX_KEY_NAME_BYTES = 255;

/** Keys that a device publishes. */
export interface UploadedKeys {
  /** JSON text of the device's own keys, in canonical form; undefined where there are none in the request. */
  readonly deviceKeysJson: string | undefined;
  readonly oneTimeKeys: readonly PublishedKey[];
  readonly fallbackKeys: readonly PublishedKey[];
}

const signaturesSchema = z.record(z.string(), z.record(z.string(), z.string()));

const deviceKeysSchema = z.looseObject({
  user_id: z.string(),
  device_id: z.string(),
  algorithms: z.array(z.string()),
  keys: z.record(z.string(), z.string()),
  signatures: signaturesSchema,
});

const oneTimeKeysSchema = z.record(
  z.string(),
  z.union([z.string(), z.looseObject({ key: z.string(), signatures: signaturesSchema })]),
);

/**
 * The keys in the body of an upload.
 * @throws {MatrixError} `M_BAD_JSON`, `M_INVALID_PARAM`, `M_TOO_LARGE`
 */
export function uploadedKeysOf(body: JsonObject, userId: string, deviceId: string): UploadedKeys {
  return {
    deviceKeysJson: isThere(body.device_keys) ? deviceKeysJsonOf(body.device_keys, userId, deviceId) : undefined,
    oneTimeKeys: publishedKeysOf(body, 'one_time_keys'),
    fallbackKeys: onePerAlgorithm(publishedKeysOf(body, 'fallback_keys')),
  };
}

/** Some clients send null for what they do not want to change. */
function isThere(value: JsonValue | undefined): value is Exclude<JsonValue, null> {
  return value !== undefined && value !== null;
}

function deviceKeysJsonOf(value: JsonValue, userId: string, deviceId: string): string {
  const parsed = deviceKeysSchema.safeParse(value);
  if (!parsed.success) throw badJson('device_keys does not have the shape of the keys of a device.');
  if (parsed.data.user_id !== userId) throw invalidParam('The user_id of device_keys is not yours.');
  if (parsed.data.device_id !== deviceId)
    throw invalidParam('The device_id of device_keys is not that of your device.');
  // What is unsigned is for servers to say.
  const { unsigned: _, ...kept } = value as JsonObject;
  return boundedJson(kept, 'device_keys', MAX_DEVICE_KEYS_BYTES);
}

function publishedKeysOf(body: JsonObject, member: 'one_time_keys' | 'fallback_keys'): PublishedKey[] {
  const value = body[member];
  if (!isThere(value)) return [];
  if (!oneTimeKeysSchema.safeParse(value).success) throw badJson(`${member} does not have the shape of a map of keys.`);
  return Object.entries(value as JsonObject).map(([name, key]) => {
    const colon = name.indexOf(':');
    if (colon <= 0 || colon === name.length - 1 || Buffer.byteLength(name) > MAX_KEY_NAME_BYTES) {
      throw invalidParam(`A key's name is <algorithm>:<key id>, of at most ${MAX_KEY_NAME_BYTES} bytes.`);
    }
    const keyJson = boundedJson(key as JsonValue, `${member}.${name}`, MAX_KEY_BYTES);
    return { algorithm: name.slice(0, colon), keyId: name.slice(colon + 1), keyJson };
  });
}

function onePerAlgorithm(keys: readonly PublishedKey[]): readonly PublishedKey[] {
  if (new Set(keys.map(({ algorithm }) => algorithm)).size < keys.length) {
    throw invalidParam('There can be one fallback key for each algorithm.');
  }
  return keys;
}

/** Canonical JSON text. @throws {MatrixError} `M_BAD_JSON` where there is none, `M_TOO_LARGE` */
export function boundedJson(value: JsonValue, name: string, maxBytes: number): string {
  let text: string;
  try {
    text = canonicalJson(value);
  } catch {
    throw badJson(`${name} has no canonical JSON, so it cannot be signed.`);
  }
  if (Buffer.byteLength(text) > maxBytes)
    throw new MatrixError('M_TOO_LARGE', `${name} has at most ${maxBytes} bytes.`);
  return text;
}
