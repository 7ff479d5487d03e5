import sodium from 'sodium-native';
import { describe, expect, it } from 'vitest';
import { newKeys, openSection, SEAL_BYTES, sealSection, sectionOpens } from './sealing.ts';

const ID = Buffer.alloc(16, 9);

describe('a sealed section', () => {
  it.each([0, 1, 600])('of %i bytes opens with its key, for its record and place only', (length) => {
    const plain = Buffer.alloc(length, 'stone');
    const keys = newKeys(2);
    const sealed = sealSection(plain, ID, 1, keys);
    const key = keys.subarray(32, 64);
    expect(sealed).toHaveLength(length + SEAL_BYTES);
    expect(openSection(sealed, ID, 1, key)).toEqual(plain);
    expect(sectionOpens(sealed, ID, 1, key)).toBe(true);
    const others: readonly Parameters<typeof openSection>[] = [
      [sealed, ID, 0, key],
      [sealed, Buffer.alloc(16, 8), 1, key],
      [sealed, ID, 1, keys.subarray(0, 32)],
      [sealed.subarray(0, -1), ID, 1, key],
      [sealed.subarray(0, SEAL_BYTES - 1), ID, 1, key],
    ];
    for (const other of others) {
      expect(openSection(...other)).toBeUndefined();
      expect(sectionOpens(...other)).toBe(false);
    }
    const flipped = Buffer.from(sealed);
    flipped[0] = (flipped[0] ?? 0) ^ 1;
    expect(openSection(flipped, ID, 1, key)).toBeUndefined();
    expect(sectionOpens(flipped, ID, 1, key)).toBe(false);
  });

  it('does not open to bytes that were sealed without the commitment to the key', () => {
    const key = newKeys(1);
    const plain = Buffer.alloc(64, 'x');
    const associated = Buffer.concat([ID, Buffer.of(0)]);
    const sealed = Buffer.alloc(plain.length + sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES);
    const nonce = Buffer.alloc(sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, plain, associated, null, nonce, key);
    expect(openSection(sealed, ID, 0, key)).toBeUndefined();
    expect(sectionOpens(sealed, ID, 0, key)).toBe(false);
  });
});
