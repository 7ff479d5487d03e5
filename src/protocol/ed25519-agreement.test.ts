import { createHash } from 'node:crypto';
import * as noble from '@noble/ed25519';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { signingKeyFromSeed, verifySignature } from './ed25519.ts';

noble.hashes.sha512 = (message) => new Uint8Array(createHash('sha512').update(message).digest());

const { Point } = noble;

const FIELD = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const MESSAGE = new TextEncoder().encode('a signed event');
const SEED = new Uint8Array(32).fill(9);

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}

function toBigInt(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The hash that binds a signature to its commitment, key and message, as a scalar. */
function challenge(commitment: Uint8Array, publicKey: Uint8Array): bigint {
  return toBigInt(noble.hash(concat(commitment, publicKey, MESSAGE))) % ORDER;
}

/** A point of order 8: the decompression of a well-known encoding. */
const TORSION = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');

const { scalar: SECRET, point: KEY_POINT, pointBytes: PUBLIC_KEY } = noble.utils.getExtendedPublicKey(SEED);

/** A signature with a nonce, commitment and key of our choice; the equation holds up to small-order parts. */
function forge(nonce: bigint, commitment: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return concat(commitment, littleEndian((nonce + challenge(commitment, publicKey) * SECRET) % ORDER));
}

/** What libsodium (ours), the strict reference and the lenient reference (ZIP 215) make of a signature. */
function verdicts(signature: Uint8Array, publicKey: Uint8Array) {
  return {
    ours: verifySignature(MESSAGE, signature, publicKey),
    strict: noble.verify(signature, MESSAGE, publicKey, { zip215: false }),
    zip215: noble.verify(signature, MESSAGE, publicKey, { zip215: true }),
  };
}

/** A nonce for which the challenge is (or is not) a multiple of 8, where small-order parts vanish. */
function nonceWhere(publicKey: Uint8Array, commitmentOf: (nonce: bigint) => Uint8Array, vanishes: boolean): bigint {
  let nonce = 1n;
  while ((challenge(commitmentOf(nonce), publicKey) % 8n === 0n) !== vanishes) nonce += 1n;
  return nonce;
}

describe('libsodium and the reference implementation', () => {
  test('make the same key and the same signature of the same seed and message', () => {
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(bytes32, fc.uint8Array({ maxLength: 300 }), (seed, message) => {
        const key = signingKeyFromSeed('ed25519:a', seed);
        expect(new Uint8Array(key.publicKey)).toEqual(noble.getPublicKey(seed));
        const signature = new Uint8Array(key.sign(message));
        expect(signature).toEqual(noble.sign(message, seed));
        expect(verifySignature(message, signature, key.publicKey)).toBe(true);
        expect(noble.verify(signature, message, noble.getPublicKey(seed), { zip215: false })).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test('both refuse a signature with any bit flipped', () => {
    const signature = noble.sign(MESSAGE, SEED);
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const flipped = Uint8Array.from(signature);
        const at = bit >> 3;
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
        expect(verdicts(flipped, PUBLIC_KEY)).toEqual({ ours: false, strict: false, zip215: false });
      }),
      { numRuns: 100 },
    );
  });

  test('both refuse a scalar that is not reduced', () => {
    const signature = noble.sign(MESSAGE, SEED);
    const unreduced = concat(signature.subarray(0, 32), littleEndian(toBigInt(signature.subarray(32)) + ORDER));
    expect(verdicts(unreduced, PUBLIC_KEY)).toEqual({ ours: false, strict: false, zip215: false });
  });

  test('both refuse a key of small order, which would fit any message; ZIP 215 takes it', () => {
    for (let multiple = TORSION, order = 0; order < 8; order += 1, multiple = multiple.add(TORSION)) {
      const smallKey = multiple.toBytes();
      const commitment = Point.BASE.toBytes();
      const signature = concat(commitment, littleEndian(1n));
      expect(verdicts(signature, smallKey)).toEqual({ ours: false, strict: false, zip215: true });
    }
  });

  test('both refuse a key that is not encoded in the one right way', () => {
    // y = 1 + p is the identity once more; y = 3 + p decodes to a point that has a canonical encoding.
    for (const y of [1n, 3n]) {
      const publicKey = littleEndian(y + FIELD);
      const signature = concat(Point.BASE.toBytes(), littleEndian(1n));
      const { ours, strict } = verdicts(signature, publicKey);
      expect({ ours, strict }).toEqual({ ours: false, strict: false });
    }
  });

  test('ours alone refuses a commitment of small order', () => {
    const commitment = Point.ZERO.toBytes();
    const signature = forge(0n, commitment, PUBLIC_KEY);
    expect(verdicts(signature, PUBLIC_KEY)).toEqual({ ours: false, strict: true, zip215: true });
  });

  test('both strict ones refuse a commitment that is not encoded in the one right way', () => {
    const commitment = littleEndian(1n + FIELD);
    const signature = forge(0n, commitment, PUBLIC_KEY);
    expect(verdicts(signature, PUBLIC_KEY)).toEqual({ ours: false, strict: false, zip215: true });
  });

  test('ours alone refuses a commitment with a small-order part: it checks the equation without the cofactor', () => {
    const nonce = 5n;
    const commitment = Point.BASE.multiply(nonce).add(TORSION).toBytes();
    const signature = forge(nonce, commitment, PUBLIC_KEY);
    expect(verdicts(signature, PUBLIC_KEY)).toEqual({ ours: false, strict: true, zip215: true });
  });

  test('a key with a small-order part verifies for ours only where that part happens to vanish', () => {
    const mixedKey = KEY_POINT.add(TORSION).toBytes();
    const commitmentOf = (nonce: bigint) => Point.BASE.multiply(nonce).toBytes();
    const unlucky = nonceWhere(mixedKey, commitmentOf, false);
    const lucky = nonceWhere(mixedKey, commitmentOf, true);
    const withNonce = (nonce: bigint) => verdicts(forge(nonce, commitmentOf(nonce), mixedKey), mixedKey);
    expect(withNonce(unlucky)).toEqual({ ours: false, strict: true, zip215: true });
    expect(withNonce(lucky)).toEqual({ ours: true, strict: true, zip215: true });
  });
});
