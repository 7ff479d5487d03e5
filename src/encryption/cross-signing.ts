/**
 * The cross-signing keys of users.
 * https://spec.matrix.org/v1.19/client-server-api/#cross-signing
 */
import { z } from 'zod';
import { devices } from '#projections/accounts/tables.ts';
import { publicKeyOf } from '#projections/encryption/key-changes.ts';
import { crossSigningKeyJson, deviceKeysJson } from '#projections/encryption/key-queries.ts';
import { keyRecord } from '#projections/encryption/key-records.ts';
import type { KeyUsage } from '#projections/encryption/key-tables.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { decodeBase64 } from '#protocol/base64.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { ED25519_KEY_BYTES } from '#protocol/signing.ts';
import { changeUser, type UserStreamContext } from '#src/client-api/user-stream.ts';
import { badJson, forbidden, invalidParam, MatrixError, missingParam } from '#src/http/errors.ts';
import { type CrossSigningKey, crossSigningKeyId, isSignedWith } from './signed-key.ts';
import { boundedJson } from './uploaded-keys.ts';

/** Largest cross-signing key, in bytes of JSON. */
export const MAX_CROSS_SIGNING_KEY_BYTES = 16 * 1024;

/** What a user publishes; undefined for what stays as it is. */
export type UploadedCrossSigningKeys = Readonly<Record<KeyUsage, CrossSigningKey | undefined>>;

/** The body's member for each key. */
export const MEMBERS: Readonly<Record<KeyUsage, string>> = {
  master: 'master_key',
  self_signing: 'self_signing_key',
  user_signing: 'user_signing_key',
};

const keySchema = z.looseObject({
  user_id: z.string(),
  usage: z.array(z.string()),
  keys: z.record(z.string(), z.string()),
  signatures: z.record(z.string(), z.record(z.string(), z.string())).optional(),
});

/**
 * The keys in the body of an upload.
 * @throws {MatrixError} `M_BAD_JSON`, `M_INVALID_PARAM`, `M_TOO_LARGE`
 */
export function crossSigningKeysOf(body: JsonObject, userId: string): UploadedCrossSigningKeys {
  const keyOf = (usage: KeyUsage): CrossSigningKey | undefined => {
    const object = body[MEMBERS[usage]];
    return object === undefined || object === null ? undefined : keyFor(object as JsonObject, usage, userId);
  };
  return { master: keyOf('master'), self_signing: keyOf('self_signing'), user_signing: keyOf('user_signing') };
}

function keyFor(object: JsonObject, usage: KeyUsage, userId: string): CrossSigningKey {
  const member = MEMBERS[usage];
  const parsed = keySchema.safeParse(object);
  if (!parsed.success) throw badJson(`${member} does not have the shape of a cross-signing key.`);
  const { user_id: owner, usage: usages, keys } = parsed.data;
  if (owner !== userId) throw invalidParam(`The user_id of ${member} is not yours.`);
  if (!usages.includes(usage)) throw invalidParam(`The usage of ${member} has to be ${usage}.`);
  const [entry, ...others] = Object.entries(keys);
  if (entry === undefined || others.length > 0) throw invalidParam(`${member} has to have exactly one key.`);
  const [keyId, publicKey] = entry;
  if (keyId !== crossSigningKeyId(publicKey) || decodeBase64(publicKey)?.length !== ED25519_KEY_BYTES) {
    throw invalidParam(`The key of ${member} has to be an Ed25519 key that is named after itself.`);
  }
  boundedJson(object, member, MAX_CROSS_SIGNING_KEY_BYTES);
  return { usage, object, publicKey };
}

/**
 * Whether the user has to confirm who they are: there is a master key already, and the upload has a key that is not there.
 */
export function needsConfirmation(reader: Reader, userId: string, keys: UploadedCrossSigningKeys): boolean {
  if (crossSigningKeyJson(reader, userId, 'master') === undefined) return false;
  return Object.values(keys).some((key) => key !== undefined && !isStored(reader, userId, key));
}

/**
 * @throws {MatrixError} `M_MISSING_PARAM` without a master key, `M_INVALID_SIGNATURE` for a key that it did not sign,
 * `M_FORBIDDEN` for a key that has the name of a device.
 */
export function checkCrossSigningKeys(reader: Reader, userId: string, keys: UploadedCrossSigningKeys): void {
  const masterJson = crossSigningKeyJson(reader, userId, 'master');
  const master = keys.master?.publicKey ?? (masterJson === undefined ? undefined : publicKeyOf(masterJson));
  for (const key of Object.values(keys)) {
    if (key === undefined) continue;
    if (master === undefined) throw missingParam(MEMBERS.master);
    const { usage, object, publicKey } = key;
    if (isDevice(reader, userId, publicKey)) throw forbidden('One of your devices has this name already.');
    if (usage !== 'master' && !isSignedWith(object, userId, crossSigningKeyId(master), master)) {
      throw new MatrixError('M_INVALID_SIGNATURE', `${MEMBERS[usage]} is not signed with the master key.`);
    }
  }
}

function isDevice(reader: Reader, userId: string, name: string): boolean {
  return reader.has(devices, [userId, name]) || deviceKeysJson(reader, userId, name) !== undefined;
}

/**
 * Stores keys; those that are there already change nothing.
 * @param isConfirmed Whether the user has confirmed who they are, or did not have to.
 * @throws {MatrixError} As {@link checkCrossSigningKeys}; `M_FORBIDDEN` if it has to be confirmed meanwhile.
 */
export async function storeCrossSigningKeys(
  context: UserStreamContext,
  userId: string,
  keys: UploadedCrossSigningKeys,
  isConfirmed: boolean,
): Promise<void> {
  const { reader } = context;
  await changeUser(context, userId, () => {
    checkCrossSigningKeys(reader, userId, keys);
    if (!isConfirmed && needsConfirmation(reader, userId, keys)) {
      throw forbidden('Another device has published cross-signing keys meanwhile.');
    }
    // What another master key signed goes with that one, so all that comes with a new master key is stored.
    const isNewMaster = keys.master !== undefined && !isStored(reader, userId, keys.master);
    const json = (key: CrossSigningKey | undefined): string | null =>
      key === undefined || (!isNewMaster && isStored(reader, userId, key)) ? null : JSON.stringify(key.object);
    const [masterJson, selfSigningJson, userSigningJson] = [
      json(keys.master),
      json(keys.self_signing),
      json(keys.user_signing),
    ];
    if (masterJson === null && selfSigningJson === null && userSigningJson === null) return [];
    return [
      keyRecord(context.newRecordId(), 'cross_signing.uploaded', {
        userId,
        masterJson,
        selfSigningJson,
        userSigningJson,
      }),
    ];
  });
}

/** Whether this very public key is stored for its usage. */
function isStored(reader: Reader, userId: string, { usage, publicKey }: CrossSigningKey): boolean {
  const json = crossSigningKeyJson(reader, userId, usage);
  return json !== undefined && publicKeyOf(json) === publicKey;
}
