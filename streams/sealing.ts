/**
 * Sealing a section: XChaCha20-Poly1305 with a random key that is used for nothing else, so the nonce may be zero. The
 * record's UUID and the section's index are authenticated with it, so that a sealed section cannot be moved elsewhere.
 *
 * Before the plain bytes stand 32 zero bytes, and a section opens only to such bytes. The cipher alone does not commit to its
 * key: whoever seals could make bytes that open to one text under one key and to another under a second. With the zeros
 * that takes two keys whose key streams begin alike, which nobody can find; so what a revealed key opens is what was sealed.
 */
import sodium from 'sodium-native';
import { KEY_BYTES } from './keyring/key-store.ts';

const ZERO_NONCE = Buffer.alloc(sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
/** Zero bytes before the plain ones, see above. */
export const COMMITMENT_BYTES = 32;
const COMMITMENT_WORDS = COMMITMENT_BYTES / Int32Array.BYTES_PER_ELEMENT;
const TAG_BYTES = sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES;
/** What sealing adds to a section. */
export const SEAL_BYTES = COMMITMENT_BYTES + TAG_BYTES;
const ID_BYTES = 16;
/** Random bytes drawn at once: one call for many keys. */
const RANDOM_POOL_BYTES = 32 * 1024;

const associated = Buffer.alloc(ID_BYTES + 1);
const sealingKey = Buffer.alloc(KEY_BYTES);
let pool = Buffer.alloc(0);
let poolAt = 0;
/** What sections are opened into that nobody looks at; as large as the largest of them, which is below 1 MiB. */
let scratch = Buffer.alloc(0);
/** Its first bytes, where the commitment to the key lies. */
let scratchWords = new Int32Array();

/** `count` fresh random keys, one behind the other. */
export function newKeys(count: number): Buffer {
  const bytes = count * KEY_BYTES;
  if (poolAt + bytes > pool.length) {
    // A new pool each time: keys handed out earlier are views of the old one.
    pool = Buffer.allocUnsafeSlow(RANDOM_POOL_BYTES);
    sodium.randombytes_buf(pool);
    poolAt = 0;
  }
  poolAt += bytes;
  return pool.subarray(poolAt - bytes, poolAt);
}

/** The sealed form of `plain`, `SEAL_BYTES` longer, with the key at place `index` of `keys`. */
export function sealSection(plain: Uint8Array, id: Uint8Array, index: number, keys: Buffer): Buffer {
  const sealed = Buffer.allocUnsafe(plain.length + SEAL_BYTES);
  keys.copy(sealingKey, 0, index * KEY_BYTES, (index + 1) * KEY_BYTES);
  sealed.fill(0, 0, COMMITMENT_BYTES);
  sealed.set(plain, COMMITMENT_BYTES);
  // In place: libsodium lets the cipher text overwrite the plain one.
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    sealed,
    sealed.subarray(0, COMMITMENT_BYTES + plain.length),
    associatedData(id, index),
    null,
    ZERO_NONCE,
    sealingKey,
  );
  return sealed;
}

/** The plain form, or undefined if the bytes were not sealed with this key for this record and section. */
export function openSection(sealed: Buffer, id: Uint8Array, index: number, key: Buffer): Buffer | undefined {
  if (sealed.length < SEAL_BYTES) return undefined;
  const plain = Buffer.allocUnsafe(sealed.length - TAG_BYTES);
  return openSectionInto(plain, 0, sealed, id, index, key) === undefined ? undefined : plain.subarray(COMMITMENT_BYTES);
}

/**
 * The same for many, into a buffer of whoever asks: the plain bytes lie `COMMITMENT_BYTES` behind `at`. Gives their number, or
 * undefined as {@link openSection} does.
 */
export function openSectionInto(
  target: Buffer,
  at: number,
  sealed: Buffer,
  id: Uint8Array,
  index: number,
  key: Buffer,
): number | undefined {
  if (sealed.length < SEAL_BYTES) return undefined;
  const plain = target.subarray(at, at + sealed.length - TAG_BYTES);
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, null, sealed, associatedData(id, index), ZERO_NONCE, key);
  } catch {
    return undefined;
  }
  let bits = 0;
  for (let byte = 0; byte < COMMITMENT_BYTES; byte++) bits |= plain[byte] as number;
  return bits === 0 ? plain.length - COMMITMENT_BYTES : undefined;
}

/** Whether {@link openSection} would open it: for verification, which keeps nothing of what it says. */
export function sectionOpens(sealed: Buffer, id: Uint8Array, index: number, key: Buffer): boolean {
  if (sealed.length < SEAL_BYTES) return false;
  const length = sealed.length - TAG_BYTES;
  if (scratch.length < length) {
    scratch = Buffer.allocUnsafeSlow(Math.max(length, 2 * scratch.length));
    scratchWords = new Int32Array(scratch.buffer, 0, COMMITMENT_WORDS);
  }
  const plain = scratch.subarray(0, length);
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, null, sealed, associatedData(id, index), ZERO_NONCE, key);
  } catch {
    return false;
  }
  let bits = 0;
  for (let word = 0; word < COMMITMENT_WORDS; word++) bits |= scratchWords[word] as number;
  return bits === 0;
}

function associatedData(id: Uint8Array, index: number): Buffer {
  associated.set(id, 0);
  associated[ID_BYTES] = index;
  return associated;
}
