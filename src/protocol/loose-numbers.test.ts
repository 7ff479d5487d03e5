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
import type { JsonValue } from './pdu.ts';
import { levelIn } from './power-levels.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';

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

  test('one that no float can hold has no encoding', () => {
    expect(() => encode('{"a":1e400}')).toThrow(CanonicalJsonError);
  });

  test('strict canonical JSON looks at the value alone', () => {
    expect(canonicalJson(parseJsonExactly('{"a":1.0}'))).toBe('{"a":1}');
    expect(() => canonicalJson(parseJsonExactly('{"a":9007199254740993}'))).toThrow(CanonicalJsonError);
  });
});

test('power levels tell a fraction by how it is written', () => {
  const [whole, fraction, big] = parseJsonExactly('[50,50.0,9007199254740993]') as JsonValue[];
  const [v9, v10] = ['9', '10'].map((version) => roomVersionRules(version) as RoomVersionRules);
  expect([whole, fraction].map((level) => levelIn(level, v9 as RoomVersionRules))).toEqual([50, 50]);
  expect([whole, fraction].map((level) => levelIn(level, v10 as RoomVersionRules))).toEqual([50, undefined]);
  expect(levelIn(big, v10 as RoomVersionRules)).toBe(2 ** 53);
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
