import { Buffer } from 'node:buffer';
import sodium from 'sodium-native';

/** Length of an Ed25519 seed and of a public key, in bytes. */
export const ED25519_KEY_BYTES = 32;

/** Length of an Ed25519 signature, in bytes. */
export const ED25519_SIGNATURE_BYTES = 64;

/** A private key that signs in the name of this server. */
export interface SigningKey {
  /** With its algorithm: `ed25519:<version>`. */
  readonly keyId: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The 64 bytes of a detached Ed25519 signature. */
  sign(bytes: Uint8Array): Uint8Array;
}

/**
 * The signing key that a seed makes. The same seed always makes the same key.
 * Source: appendices, "Signing Details".
 *
 * @throws {RangeError} if the seed is not 32 bytes.
 */
export function signingKeyFromSeed(keyId: string, seed: Uint8Array): SigningKey {
  if (seed.length !== ED25519_KEY_BYTES) {
    throw new RangeError(`An Ed25519 seed has ${ED25519_KEY_BYTES} bytes; this one has ${seed.length}.`);
  }
  const publicKey = Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES);
  const secretKey = Buffer.alloc(sodium.crypto_sign_SECRETKEYBYTES);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, asBuffer(seed));
  return {
    keyId,
    publicKey,
    sign(bytes: Uint8Array): Uint8Array {
      const signature = Buffer.allocUnsafe(ED25519_SIGNATURE_BYTES);
      sodium.crypto_sign_detached(signature, asBuffer(bytes), secretKey);
      return signature;
    },
  };
}

/**
 * Whether a signature over these bytes was made by the owner of a public key. A signature or key of the wrong length is
 * not valid; nothing is thrown. Accepts exactly what libsodium accepts: the scalar must be reduced, the key and the
 * commitment must be canonical and not of small order.
 * Source: appendices, "Checking for a Signature".
 */
export function verifySignature(bytes: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== ED25519_SIGNATURE_BYTES || publicKey.length !== ED25519_KEY_BYTES) return false;
  return sodium.crypto_sign_verify_detached(asBuffer(signature), asBuffer(bytes), asBuffer(publicKey));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
