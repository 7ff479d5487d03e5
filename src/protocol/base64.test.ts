import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeAnyBase64, decodeBase64, decodeBase64Url, encodeBase64, encodeBase64Url } from './base64.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('base64', () => {
  test.each([
    ['', ''],
    ['f', 'Zg'],
    ['fo', 'Zm8'],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy'],
  ])('encodes %s as the specification does', (text, encoded) => {
    expect(encodeBase64(bytes(text))).toBe(encoded);
    expect(decodeBase64(encoded)).toEqual(Buffer.from(text));
  });

  test('uses the alphabet asked for', () => {
    const high = new Uint8Array([0xfb, 0xff, 0xfe]);
    expect(encodeBase64(high)).toBe('+//+');
    expect(encodeBase64Url(high)).toBe('-__-');
    expect(decodeBase64('-__-')).toBeUndefined();
    expect(decodeBase64Url('+//+')).toBeUndefined();
    expect(decodeAnyBase64('-__-')).toEqual(Buffer.from(high));
    expect(decodeAnyBase64('+//+')).toEqual(Buffer.from(high));
  });

  test('takes padding, and unused bits that are set', () => {
    expect(decodeBase64('Zg==')).toEqual(Buffer.from('f'));
    expect(decodeBase64('Zh')).toEqual(Buffer.from('f'));
    expect(decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1')).toHaveLength(32);
  });

  test.each(['A', 'AAAAA', 'A===', '=', '==A', 'Zg===', 'Z g', 'Zg\n', 'Zgé'])('refuses %j', (text) => {
    expect(decodeBase64(text) ?? new Uint8Array()).toHaveLength(0);
  });

  test('gives back any bytes, also of a view into a larger buffer', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.nat(8), (whole, offset) => {
        const view = whole.subarray(Math.min(offset, whole.length));
        expect(decodeBase64(encodeBase64(view))).toEqual(Buffer.from(view));
        expect(decodeBase64Url(encodeBase64Url(view))).toEqual(Buffer.from(view));
      }),
    );
  });
});
