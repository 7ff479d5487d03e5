import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalValue } from './arbitraries.test-support.ts';
import { isNestedTooDeep, JsonSyntaxError, JsonTooDeepError, MAX_JSON_DEPTH, parseJson } from './json-limits.ts';
import type { JsonObject } from './pdu.ts';

describe('parseJson', () => {
  test('reads back any value that was written', () => {
    fc.assert(
      fc.property(canonicalValue, (value) => {
        expect(parseJson(JSON.stringify(value))).toEqual(value);
        expect(parseJson(JSON.stringify(value, null, '\t'))).toEqual(value);
      }),
    );
  });

  test.each([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"a":', '}]'],
  ])('takes %s up to the bound and not beyond', (open, close) => {
    const levelsPerRound = open.startsWith('[{') ? 2 : 1;
    const rounds = MAX_JSON_DEPTH / levelsPerRound;
    const wrap = (count: number) => `${open.repeat(count)}1${close.repeat(count)}`;
    expect(() => parseJson(wrap(rounds))).not.toThrow();
    expect(() => parseJson(wrap(rounds + 1))).toThrow(JsonTooDeepError);
    expect(() => parseJson(wrap(1_000_000))).toThrow(JsonTooDeepError);
  });

  test('does not take brackets in texts for nesting, nor quotes behind backslashes for their end', () => {
    const brackets = '['.repeat(5000);
    expect(parseJson(JSON.stringify([brackets]))).toEqual([brackets]);
    expect(parseJson(JSON.stringify([`\\"${brackets}\\\\`, brackets]))).toEqual([`\\"${brackets}\\\\`, brackets]);
    expect(isNestedTooDeep(`["\\\\"${'['.repeat(2 * MAX_JSON_DEPTH)}`)).toBe(true);
  });

  test('counts depth, not the number of containers', () => {
    const wide = `[${'[],'.repeat(10_000)}[]]`;
    expect(parseJson(wide)).toHaveLength(10_001);
  });

  test.each(['', '{', 'NaN', '{"a":1,}', `"${'x'.repeat(3000)}`, '[1]]'])('refuses %s as no JSON', (text) => {
    expect(() => parseJson(text)).toThrow(JsonSyntaxError);
  });

  test('keeps escaped keys as they are, whatever was parsed before', () => {
    // What V8 remembers of the first text made it read the key of the second as a backslash.
    const poison = '{"h":[],"\\\\":0}';
    const victims = ['"', '\n', '\r', '\f', '\u000b', 'a"', 'é"', '\\'];
    for (let round = 0; round < 50; round += 1) {
      JSON.parse(poison);
      for (const key of victims) {
        const text = `{"h":${round},${JSON.stringify(key)} : 2}`;
        expect(Object.keys(parseJson(text) as JsonObject)).toEqual(['h', key]);
      }
    }
  });

  test.each([
    '{"\\n":1',
    '{"\\n":}',
    '{"\\n":1,}',
    '{"\\n" 1}',
    '{"\\n":01}',
    '{"\\n":1.}',
    '{"\\n":+1}',
    '{"\\n":.5}',
    '{"\\n":tru}',
    '{"\\n":1}x',
    '{"\\n":[1 2]}',
    '{"\\n":[1,]}',
    '{"\\x":1}',
    '{"\\n":"',
    '{"\\n":1,a:1}',
    '{"\\n":1,"a\n":1}',
    '{"\\n":\u00a01}',
  ])('refuses %j as no JSON, although it has an escaped key', (text) => {
    expect(() => parseJson(text)).toThrow(JsonSyntaxError);
  });

  test('reads every kind of value beside an escaped key', () => {
    const text =
      ' { "\\u0041" : [ ] , "\\n":{ "a" : [1, -0.5e-2, true, false, null, "\\ud83d\\ude00"] } , "\\n" : 2 } ';
    expect(parseJson(text)).toEqual({ A: [], '\n': 2 });
    expect(parseJson('{"\\n":{"a":[1,-0.5e-2,true,false,null,"\\ud83d\\ude00",{}]}}')).toEqual({
      '\n': { a: [1, -0.005, true, false, null, '😀', {}] },
    });
    expect(() => parseJson(`{"\\n":${'['.repeat(MAX_JSON_DEPTH - 1)}${']'.repeat(MAX_JSON_DEPTH - 1)}}`)).not.toThrow();
  });

  test.each(['{"__proto__":{"admin":true}}', '{"\\u005f_proto__":{"admin":true}}'])(
    'keeps __proto__ as a key like any other in %s',
    (text) => {
      const value = parseJson(text) as { admin?: boolean };
      expect(Object.keys(value)).toEqual(['__proto__']);
      expect(value.admin).toBeUndefined();
    },
  );
});
