import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CanonicalJsonError, canonicalJson } from './canonical-json.ts';
import {
  JsonSyntaxError,
  JsonTooDeepError,
  MAX_JSON_DEPTH,
  mayHoldInexactNumbers,
  parseJson,
  parseJsonExactly,
} from './json-limits.ts';
import { isJsonObject } from './json-object.ts';
import { exactInteger, MAX_INTEGER_DIGITS } from './loose-numbers.ts';
import type { JsonValue } from './pdu.ts';
import { levelIn } from './power-levels.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';

/** A number in any of the ways in which JSON can have it. */
const numberToken = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.bigInt({ min: 0n, max: 10n ** 40n }),
    fc.constantFrom('', '.0', '.5', '.25', '.000'),
    fc.constantFrom('', 'e0', 'E5', 'e+20', 'e-7', 'e-300'),
  )
  .map((parts) => parts.join(''));

function encode(text: string): string {
  return canonicalJson(parseJsonExactly(text), 'loose');
}

describe('numbers as Python has them, from the text of an event', () => {
  test.each([
    ['1.0', '1.0'],
    ['-0', '0'],
    ['-0.0', '-0.0'],
    ['0.0', '0.0'],
    ['0e5', '0.0'],
    ['1e2', '100.0'],
    ['1E+2', '100.0'],
    ['50.75', '50.75'],
    ['1e15', '1000000000000000.0'],
    ['1e16', '1e+16'],
    ['123456789012345680.0', '1.2345678901234568e+17'],
    ['1e22', '1e+22'],
    ['1.5e300', '1.5e+300'],
    ['0.0001', '0.0001'],
    ['0.00001', '1e-05'],
    ['1.5e-7', '1.5e-07'],
    ['5e-324', '5e-324'],
    ['9007199254740992', '9007199254740992'],
    ['9007199254740993', '9007199254740993'],
    ['-12345678901234567890', '-12345678901234567890'],
    ['10000000000000000000000000000000000000001', '10000000000000000000000000000000000000001'],
    ['7', '7'],
  ])('%s is %s', (text, expected) => {
    expect(encode(text)).toBe(expected);
    expect(encode(`{"a":[${text}],"1.0":"${text}"}`)).toBe(`{"1.0":"${text}","a":[${expected}]}`);
  });

  test('one that no float can hold, or with more digits than Python reads, has no encoding', () => {
    for (const number of [
      '1e400',
      '-1e400',
      '1'.repeat(MAX_INTEGER_DIGITS + 1),
      `-${'1'.repeat(MAX_INTEGER_DIGITS + 1)}`,
    ]) {
      expect(() => encode(`{"a":${number}}`)).toThrow(CanonicalJsonError);
    }
    const longest = '1'.repeat(MAX_INTEGER_DIGITS);
    expect(encode(`[${longest},-${longest}]`)).toBe(`[${longest},-${longest}]`);
  });

  test('strict canonical JSON refuses them', () => {
    for (const number of ['1.0', '-0.0', '1e2', '9007199254740992', '9007199254740993']) {
      expect(() => canonicalJson(parseJsonExactly(`{"a":${number}}`))).toThrow(CanonicalJsonError);
    }
    expect(canonicalJson(parseJsonExactly('{"a":-0,"b":9007199254740991,"c":"1.0"}'))).toBe(
      '{"a":0,"b":9007199254740991,"c":"1.0"}',
    );
  });

  test('JSON.stringify writes them so that they hash the same', () => {
    fc.assert(
      fc.property(fc.array(numberToken), (tokens) => {
        const text = `[${tokens.join()}]`;
        const again = JSON.stringify(parseJsonExactly(text));
        expect(encode(again)).toBe(encode(text));
      }),
    );
  });

  test('they reckon and compare as numbers', () => {
    const [big, small] = parseJsonExactly('[9007199254740993,2.0]') as unknown as number[];
    expect(Math.max(big as number, 1)).toBe(2 ** 53);
    expect((small as number) + 1).toBe(3);
    expect(`${big}`).toBe('9007199254740993');
    expect(isJsonObject(big)).toBe(false);
    expect([big, small, 7].map((value) => exactInteger(value as number))).toEqual([9007199254740993n, 2, 7]);
  });
});

test('power levels tell a fraction by how it is written', () => {
  const [whole, fraction, big] = parseJsonExactly('[50,50.0,9007199254740993]') as JsonValue[];
  const [v9, v10] = ['9', '10'].map((version) => roomVersionRules(version) as RoomVersionRules);
  expect([whole, fraction].map((level) => levelIn(level, v9 as RoomVersionRules))).toEqual([50, 50]);
  expect([whole, fraction].map((level) => levelIn(level, v10 as RoomVersionRules))).toEqual([50, undefined]);
  expect(levelIn(big, v10 as RoomVersionRules)).toBe(9007199254740993n);
});

test('texts in which no number is changed parse as ever', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (text) => {
      const plain = parseJson(text);
      if (!mayHoldInexactNumbers(text)) expect(parseJsonExactly(text)).toEqual(plain);
      expect(canonicalJson(parseJsonExactly(canonicalJson(plain, 'loose')), 'loose')).toBe(
        canonicalJson(plain, 'loose'),
      );
    }),
  );
});

test('digits in texts and keys are no numbers', () => {
  expect(mayHoldInexactNumbers('{"1.0":"2e5","a\\"1.0":"9007199254740993","b":12}')).toBe(false);
  expect(mayHoldInexactNumbers('{"1.0":"2e5","b":1.0}')).toBe(true);
});

test('what is not JSON, or too deep, is refused the same way', () => {
  expect(() => parseJsonExactly('{"a":1.0')).toThrow(JsonSyntaxError);
  expect(() => parseJsonExactly('{"a":01.0}')).toThrow(JsonSyntaxError);
  const deep = MAX_JSON_DEPTH * 10;
  expect(() => parseJsonExactly(`${'['.repeat(deep)}1.0${']'.repeat(deep)}`)).toThrow(JsonTooDeepError);
});
