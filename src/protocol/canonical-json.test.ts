import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalObject, canonicalValue, unicodeText } from './arbitraries.test-support.ts';
import { CanonicalJsonError, type CanonicalJsonProblem, canonicalJson, compareCodePoints } from './canonical-json.ts';
import { MAX_JSON_DEPTH, parseJson } from './json-limits.ts';
import type { JsonObject, JsonValue } from './pdu.ts';

/** The encoding written down as the specification's grammar says it, one character at a time. */
function slowReference(value: JsonValue): string {
  if (typeof value === 'string') return `"${[...value].map(slowCharacter).join('')}"`;
  if (typeof value !== 'object' || value === null) return String(Object.is(value, -0) ? 0 : value);
  if (Array.isArray(value)) return `[${value.map(slowReference).join(',')}]`;
  const members = Object.entries(value)
    .sort(([a], [b]) => slowCompare(a, b))
    .map(([key, member]) => `${slowReference(key)}:${slowReference(member as JsonValue)}`);
  return `{${members.join(',')}}`;
}

const SHORT_ESCAPES = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\b', '\\b'],
  ['\t', '\\t'],
  ['\n', '\\n'],
  ['\f', '\\f'],
  ['\r', '\\r'],
]);

function slowCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return SHORT_ESCAPES.get(character) ?? (code < 0x20 ? `\\u${code.toString(16).padStart(4, '0')}` : character);
}

function slowCompare(a: string, b: string): number {
  const left = [...a].map((character) => character.codePointAt(0) ?? 0);
  const right = [...b].map((character) => character.codePointAt(0) ?? 0);
  const at = left.findIndex((code, index) => code !== right[index]);
  if (at === -1) return left.length - right.length;
  return (left[at] ?? 0) - (right[at] ?? -1);
}

function problemOf(value: unknown): CanonicalJsonProblem | 'none' {
  try {
    canonicalJson(value as JsonValue);
    return 'none';
  } catch (error) {
    if (error instanceof CanonicalJsonError) return error.problem;
    throw error;
  }
}

function nested(depth: number): JsonValue {
  let value: JsonValue = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

describe('canonicalJson', () => {
  test.each([
    ['{}', '{}'],
    ['{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'],
    ['{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'],
    [
      '{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}',
      '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}',
    ],
    ['{"a":"日本語"}', '{"a":"日本語"}'],
    ['{"本":2,"日":1}', '{"日":1,"本":2}'],
    ['{"a":"\\u65E5"}', '{"a":"日"}'],
    ['{"a":null}', '{"a":null}'],
    ['{"a":-0,"b":1e10}', '{"a":0,"b":10000000000}'],
  ])('encodes the example %s of the specification', (given, expected) => {
    expect(canonicalJson(JSON.parse(given))).toBe(expected);
  });

  test('orders keys by code point where UTF-16 order differs, few keys or many', () => {
    expect(canonicalJson({ '😀': 1, '\uffff': 2, a: 3 })).toBe('{"a":3,"\uffff":2,"😀":1}');
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`${index}`.padStart(2, '0'), index]));
    const encoded = canonicalJson({ '😀': 1, '\uffff': 2, ...many });
    expect(encoded.endsWith('"39":39,"\uffff":2,"😀":1}')).toBe(true);
  });

  test('escapes what the grammar escapes, and nothing else', () => {
    expect(canonicalJson('\u0000\b\t\n\u000b\f\r\u001f"\\/\u007f\u2028')).toBe(
      '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/\u007f\u2028"',
    );
  });

  test('skips members that are undefined', () => {
    expect(canonicalJson({ a: undefined, b: 1, c: undefined })).toBe('{"b":1}');
    expect(canonicalJson({ a: undefined })).toBe('{}');
  });

  test.each([
    [0.5, 'not_an_integer'],
    [Number.NaN, 'not_an_integer'],
    [Number.POSITIVE_INFINITY, 'not_an_integer'],
    [2 ** 53, 'out_of_range'],
    [-(2 ** 53), 'out_of_range'],
    [1e300, 'out_of_range'],
    [Number.MAX_SAFE_INTEGER, 'none'],
    [-Number.MAX_SAFE_INTEGER, 'none'],
    ['\ud83d', 'lone_surrogate'],
    ['\ude00\ud83d', 'lone_surrogate'],
    ['😀', 'none'],
    [{ '\ud83d': 1 }, 'lone_surrogate'],
    [[undefined], 'not_json'],
    [{ a: () => 1 }, 'not_json'],
    [{ a: 1n }, 'not_json'],
  ] as const)('%p: %s', (value, expected) => {
    expect(problemOf({ value })).toBe(expected);
  });

  test('nests as deep as allowed, and refuses one level more without overflowing the stack', () => {
    expect(problemOf(nested(MAX_JSON_DEPTH))).toBe('none');
    expect(problemOf(nested(MAX_JSON_DEPTH + 1))).toBe('too_deep');
    expect(problemOf(nested(200_000))).toBe('too_deep');
  });

  test('agrees with the slow reference on any value', () => {
    fc.assert(
      fc.property(canonicalValue, (value) => canonicalJson(value) === slowReference(value)),
      { numRuns: 1000 },
    );
  });

  test('agrees with the slow reference on objects with many keys', () => {
    const wide = fc.uniqueArray(unicodeText, { minLength: 20, maxLength: 60 }).map((keys) => {
      return parseJson(`{${keys.map((key) => `${JSON.stringify(key)}:1`).join(',')}}`) as JsonObject;
    });
    fc.assert(fc.property(wide, (value) => canonicalJson(value) === slowReference(value)));
  });

  test('loses nothing, and encodes what it encoded to the same text', () => {
    fc.assert(
      fc.property(canonicalObject, (value) => {
        const text = canonicalJson(value);
        expect(parseJson(text)).toEqual(value);
        expect(canonicalJson(parseJson(text))).toBe(text);
      }),
    );
  });
});

test('compareCodePoints orders any texts as their code points', () => {
  fc.assert(
    fc.property(
      unicodeText,
      unicodeText,
      (a, b) => Math.sign(compareCodePoints(a, b)) === Math.sign(slowCompare(a, b)),
    ),
    { numRuns: 1000 },
  );
});
