/**
 * Signatures that users put on their own devices and on cross-signing keys, theirs and others'.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
 */

import { publicKeyOf } from '#projections/encryption/key-changes.ts';
import { crossSigningKeyJson, deviceKeysJson, signatureOnKey } from '#projections/encryption/key-queries.ts';
import { type KeySignature, keyRecord } from '#projections/encryption/key-records.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { parseJson } from '#protocol/json-limits.ts';
import { isJsonObject } from '#protocol/json-object.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { changeUser, type UserStreamContext } from '#src/client-api/user-stream.ts';
import { invalidParam, MatrixError, notFound } from '#src/http/errors.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import { crossSigningKeyId, isSignedWith } from './signed-key.ts';

/** Most objects in one request: each costs a few signature checks. */
export const MAX_SIGNED_OBJECTS = 1000;
/** Most signatures of the user on one object that are looked at: one from each device that may sign a master key. */
const MAX_SIGNATURES_PER_OBJECT = 100;

/** Whose signed objects: user → device id or public key → object. */
export type SignedObjects = Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;

/** Why signatures were not taken: user → device id or public key → error. */
export type SignatureFailures = Readonly<Record<string, Readonly<Record<string, object>>>>;

/**
 * Stores the signatures that are right.
 * @throws {MatrixError} `M_INVALID_PARAM` for too many
 */
export async function uploadSignatures(
  context: UserStreamContext,
  signer: string,
  objects: SignedObjects,
): Promise<SignatureFailures> {
  const failures: [string, object][] = [];
  const made: KeySignature[] = [];
  let count = 0;
  for (const [targetUserId, byKey] of Object.entries(objects)) {
    const failed: [string, object][] = [];
    for (const [targetKeyId, object] of Object.entries(byKey)) {
      count += 1;
      if (count > MAX_SIGNED_OBJECTS) throw invalidParam(`At most ${MAX_SIGNED_OBJECTS} objects can be sent at once.`);
      if (sharedPacer.isDue) await sharedPacer.pause();
      try {
        made.push(...signaturesOf(context.reader, signer, targetUserId, targetKeyId, object));
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        failed.push([targetKeyId, error.toBody()]);
      }
    }
    if (failed.length > 0) failures.push([targetUserId, Object.fromEntries(failed)]);
  }
  await changeUser(context, signer, () => {
    const signatures = made.filter((one) => isNews(context.reader, signer, one));
    if (signatures.length === 0) return [];
    return [keyRecord(context.newRecordId(), 'signatures.uploaded', { userId: signer, signatures })];
  });
  return Object.fromEntries(failures) as SignatureFailures;
}

/** The key is still there, and the signature is not yet on it. */
function isNews(reader: Reader, signer: string, signature: KeySignature): boolean {
  const { targetUserId, targetKeyId, signingKeyId } = signature;
  if (storedKey(reader, targetUserId, targetKeyId) === undefined) return false;
  return signatureOnKey(reader, targetUserId, targetKeyId, signer, signingKeyId) !== signature.signature;
}

/** The user's signatures on an object. @throws {MatrixError} `M_NOT_FOUND`, `M_INVALID_PARAM`, `M_INVALID_SIGNATURE` */
function signaturesOf(
  reader: Reader,
  signer: string,
  targetUserId: string,
  targetKeyId: string,
  object: JsonObject,
): KeySignature[] {
  const stored = storedKey(reader, targetUserId, targetKeyId);
  if (stored === undefined) throw notFound('There is no such key.');
  if (!isSameKey(stored.object, object)) throw invalidParam('This is not the key that was published.');
  const made: KeySignature[] = [];
  for (const [signingKeyId, signature] of signaturesBy(object, signer)) {
    const publicKey = signingKey(reader, signer, targetUserId, stored.isDevice, signingKeyId);
    if (publicKey === undefined) {
      // A device's signature on itself comes along with what another key signed.
      if (stored.isDevice && signingKeyId === `ed25519:${targetKeyId}`) continue;
      throw new MatrixError('M_INVALID_SIGNATURE', `${signingKeyId} is no key that may sign this.`);
    }
    if (!isSignedWith(object, signer, signingKeyId, publicKey)) throw new MatrixError('M_INVALID_SIGNATURE');
    made.push({ targetUserId, targetKeyId, signingKeyId, signature });
  }
  if (made.length === 0) throw new MatrixError('M_INVALID_SIGNATURE', 'You have not signed it.');
  return made;
}

interface StoredKey {
  readonly object: JsonObject;
  readonly isDevice: boolean;
}

/** The keys of a device, or the master key of a user: nothing else can be signed. */
function storedKey(reader: Reader, userId: string, keyId: string): StoredKey | undefined {
  const device = deviceKeysJson(reader, userId, keyId);
  if (device !== undefined) return { object: parseJson(device) as JsonObject, isDevice: true };
  const master = crossSigningKeyJson(reader, userId, 'master');
  if (master === undefined || publicKeyOf(master) !== keyId) return undefined;
  return { object: parseJson(master) as JsonObject, isDevice: false };
}

function isSameKey(stored: JsonObject, sent: JsonObject): boolean {
  try {
    return canonicalJson(withoutSignatures(stored)) === canonicalJson(withoutSignatures(sent));
  } catch {
    return false;
  }
}

function withoutSignatures({ signatures: _signatures, unsigned: _unsigned, ...key }: JsonObject): JsonObject {
  return key;
}

function signaturesBy({ signatures }: JsonObject, signer: string): [keyId: string, signature: string][] {
  const block = isJsonObject(signatures) && Object.hasOwn(signatures, signer) ? signatures[signer] : undefined;
  if (!isJsonObject(block)) return [];
  const entries = Object.entries(block).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return entries.slice(0, MAX_SIGNATURES_PER_OBJECT);
}

/**
 * The public key behind a key id, if that key may sign: one's self-signing key one's devices, one's devices one's master
 * key, one's user-signing key the master keys of others.
 */
function signingKey(
  reader: Reader,
  signer: string,
  targetUserId: string,
  isDevice: boolean,
  signingKeyId: string,
): string | undefined {
  if (signer !== targetUserId)
    return isDevice ? undefined : crossSigningKey(reader, signer, 'user_signing', signingKeyId);
  if (isDevice) return crossSigningKey(reader, signer, 'self_signing', signingKeyId);
  const deviceId = signingKeyId.slice(signingKeyId.indexOf(':') + 1);
  const json = deviceKeysJson(reader, signer, deviceId);
  const keys = json === undefined ? undefined : (parseJson(json) as JsonObject).keys;
  const key = isJsonObject(keys) ? keys[signingKeyId] : undefined;
  return typeof key === 'string' && signingKeyId.startsWith('ed25519:') ? key : undefined;
}

function crossSigningKey(
  reader: Reader,
  userId: string,
  usage: 'self_signing' | 'user_signing',
  keyId: string,
): string | undefined {
  const json = crossSigningKeyJson(reader, userId, usage);
  const publicKey = json === undefined ? undefined : publicKeyOf(json);
  return publicKey !== undefined && crossSigningKeyId(publicKey) === keyId ? publicKey : undefined;
}
