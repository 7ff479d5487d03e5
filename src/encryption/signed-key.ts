/** Checks of keys that are signed with other keys. */
import type { KeyUsage } from '#projections/encryption/key-tables.ts';
import { decodeBase64 } from '#protocol/base64.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { ED25519_KEY_BYTES, verifySignedJson } from '#protocol/signing.ts';

/** A cross-signing key: what it is for, and its one public key. */
export interface CrossSigningKey {
  readonly usage: KeyUsage;
  /** As it was uploaded. */
  readonly object: JsonObject;
  /** In unpadded base64; with `ed25519:` before it, the id of the key. */
  readonly publicKey: string;
}

/** Whether a user put a right signature on an object with a key. `publicKey` is in unpadded base64. */
export function isSignedWith(object: JsonObject, userId: string, keyId: string, publicKey: string): boolean {
  const key = decodeBase64(publicKey);
  return key?.length === ED25519_KEY_BYTES && verifySignedJson(object, userId, keyId, key);
}

/** The id of a cross-signing key. */
export function crossSigningKeyId(publicKey: string): string {
  return `ed25519:${publicKey}`;
}
