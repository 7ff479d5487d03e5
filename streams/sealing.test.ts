import sodium from 'sodium-native';
import { describe, expect, it } from 'vitest';
import { newKeys, openSection, SEAL_BYTES, sealSection } from './sealing.ts';

const ID = Buffer.alloc(16, 9);

describe('a sealed section', () => {
  it.each([0, 1, 600])('of %i bytes opens with its key, for its record and place only', (length) => {
    const plain = Buffer.alloc(length, 'stone');
    const keys = newKeys(2);
    const sealed = sealSection(plain, ID, 1, keys);
    const key = keys.subarray(32, 64);
    expect(sealed).toHaveLength(length + SEAL_BYTES);
    expect(openSection(sealed, ID, 1, key)).toEqual(plain);
    expect(openSection(sealed, ID, 0, key)).toBeUndefined();
    expect(openSection(sealed, Buffer.alloc(16, 8), 1, key)).toBeUndefined();
    expect(openSection(sealed, ID, 1, keys.subarray(0, 32))).toBeUndefined();
    expect(openSection(sealed.subarray(0, -1), ID, 1, key)).toBeUndefined();
    const flipped = Buffer.from(sealed);
    flipped[0] = (flipped[0] ?? 0) ^ 1;
    expect(openSection(flipped, ID, 1, key)).toBeUndefined();
  });

  it('does not open to bytes that were sealed without the commitment to the key', () => {
    const key = newKeys(1);
    const plain = Buffer.alloc(64, 'x');
    const associated = Buffer.concat([ID, Buffer.of(0)]);
    const sealed = Buffer.alloc(plain.length + sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES);
    const nonce = Buffer.alloc(sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, plain, associated, null, nonce, key);
    expect(openSection(sealed, ID, 0, key)).toBeUndefined();
  });
});
