import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundsOf, encoded } from './bounds.ts';
import { type KeyCodec, KeyTooLong } from './keys.ts';
import { bytes, raw, str, tuple, u32, u48 } from './table.ts';

const anyString = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.string({ unit: fc.constantFrom('\0', 'a', '\u0001', 'ÿ', '\ud800', '\udfff', '😀', '\uffff'), maxLength: 20 }),
  // Any UTF-16, halves of pairs included.
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 }).map((codes) => String.fromCharCode(...codes)),
);
const anyU48 = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.maxSafeNat().map((value) => value % 2 ** 48),
);
const key = tuple(str, u48, str);
const anyKey = fc.tuple(anyString, anyU48, anyString);

/** By code point, half pairs as their own number; as `<` does except above U+FFFF. */
function compareStrings(a: string, b: string): number {
  const left = Array.from(a, (character) => character.codePointAt(0) ?? 0);
  const right = Array.from(b, (character) => character.codePointAt(0) ?? 0);
  const at = left.findIndex((code, index) => code !== right[index]);
  if (at < 0) return left.length - right.length;
  return at >= right.length ? 1 : (left[at] as number) - (right[at] as number);
}

function compareKeys(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (const [index, part] of a.entries()) {
    const other = b[index];
    const order = typeof part === 'string' ? compareStrings(part, String(other)) : part - Number(other);
    if (order !== 0) return order;
  }
  return 0;
}

function decoded<K extends readonly unknown[]>(codec: KeyCodec<K>, stored: Buffer): K {
  return codec.read(Buffer.concat([Buffer.from('before'), stored, Buffer.from('after')]), 6, 6 + stored.length);
}

describe('keys', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(anyKey, (value) => {
        expect(decoded(key, encoded(key, value))).toEqual(value);
      }),
    );
  });

  it('sort as bytes as their parts do', () => {
    fc.assert(
      fc.property(anyKey, anyKey, (a, b) => {
        const order = Math.sign(encoded(key, a).compare(encoded(key, b)));
        expect(order).toBe(Math.sign(compareKeys(a, b)));
      }),
      { numRuns: 1000 },
    );
  });

  it('begin with the bytes of their leading parts, and no others do', () => {
    fc.assert(
      fc.property(anyString, anyKey, (leading, whole) => {
        const prefix = encoded(key, [leading]);
        expect(encoded(key, whole).subarray(0, prefix.length).equals(prefix)).toBe(leading === whole[0]);
      }),
    );
  });

  it('hold fixed and raw bytes', () => {
    const codec = tuple(u32, bytes(3), raw);
    const value = [2 ** 32 - 1, Buffer.from([0, 255, 0]), Buffer.from([0, 0, 1])] as const;
    expect(encoded(codec, value).toString('hex')).toBe('ffffffff00ff00000001');
    expect(decoded(codec, encoded(codec, value))).toEqual(value);
    expect(() => tuple(raw, u32)).toThrow('only the last part');
  });

  it('refuse what they cannot hold', () => {
    expect(() => encoded(tuple(u48), [-1])).toThrow(RangeError);
    expect(() => encoded(tuple(u48), [2 ** 48])).toThrow(RangeError);
    expect(() => encoded(tuple(u48), [1.5])).toThrow(RangeError);
    expect(() => encoded(tuple(u32), [2 ** 32])).toThrow(RangeError);
    expect(() => encoded(tuple(bytes(2)), [Buffer.alloc(3)])).toThrow(RangeError);
    expect(() => encoded(tuple(str), ['x'.repeat(3000)])).toThrow(KeyTooLong);
    expect(() => encoded(tuple(str), ['ü'.repeat(1500)])).toThrow(KeyTooLong);
    expect(() => encoded(tuple(str), ['\0'.repeat(1500)])).toThrow(KeyTooLong);
    expect(() => encoded(tuple(str, str), ['x'.repeat(1000), 'x'.repeat(1000)])).toThrow(KeyTooLong);
    expect(encoded(tuple(str), ['x'.repeat(1976)]).length).toBe(1978);
  });
});

describe('bounds', () => {
  const small = tuple(u32, u32);
  const within = (options: Parameters<typeof boundsOf<readonly [number, number]>>[1]): string | undefined => {
    const bounds = boundsOf(small, options);
    if (bounds === undefined) return undefined;
    return `${bounds.lower?.toString('hex') ?? ''}..${bounds.upper?.toString('hex') ?? ''}`;
  };

  it('take leading parts for all keys that begin with them', () => {
    expect(within({})).toBe('..');
    expect(within({ prefix: [] })).toBe('..');
    expect(within({ prefix: [1] })).toBe('00000001..00000002');
    expect(within({ gt: [1] })).toBe('00000002..');
    expect(within({ lte: [255] })).toBe('..000001');
    expect(within({ gte: [1], lt: [2] })).toBe('00000001..00000002');
    expect(within({ prefix: [1], gt: [1, 5], lte: [1, 9] })).toBe('0000000100000006..000000010000000a');
    expect(within({ prefix: [1], gte: [0], lt: [7] })).toBe('00000001..00000002');
    expect(within({ prefix: [2 ** 32 - 1] })).toBe('ffffffff..');
  });

  it('know when nothing can be between', () => {
    expect(within({ gte: [2], lt: [2] })).toBeUndefined();
    expect(within({ prefix: [1], gte: [2] })).toBeUndefined();
    expect(within({ gt: [2 ** 32 - 1] })).toBeUndefined();
    expect(within({ lt: [] })).toBeUndefined();
  });

  it('take a whole key with a raw end for that key only', () => {
    const codec = tuple(u32, raw);
    expect(boundsOf(codec, { gt: [1, Buffer.from('ab')] })?.lower?.toString('hex')).toBe('00000001616200');
    expect(boundsOf(codec, { lte: [1, Buffer.from('ab')] })?.upper?.toString('hex')).toBe('00000001616200');
  });
});
