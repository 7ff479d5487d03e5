import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { compileGlob, compileLiteral } from './glob.ts';

const all = (pattern: string, text: string) => compileGlob(pattern).matchesAll(text.toLowerCase());
const words = (pattern: string, text: string) => compileGlob(pattern).matchesWords(text.toLowerCase());

describe('a pattern that has to be the whole text', () => {
  test.each([
    ['lunc?*', 'Lunch plans', true],
    ['lunc?*', 'LUNCH', true],
    ['lunc?*', ' lunch', false],
    ['lunc?*', 'lunc', false],
    ['', '', true],
    ['', 'x', false],
    ['*', '', true],
    ['**', 'abc', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'axxbxxc', true],
    ['a*b*c', 'acb', false],
    ['?', '👍', true],
    ['??', '👍', false],
    ['m.room.*', 'm.room.message', true],
    ['m.room.member', 'm_room_member', false],
  ])('%j, %j: %j', (pattern, text, expected) => {
    expect(all(pattern, text)).toBe(expected);
  });
});

describe('a pattern that has to be words of the text', () => {
  test.each([
    ['ex*ple', 'An example event.', true],
    ['ex*ple', 'exple', true],
    ['ex*ple', 'An exciting triple-whammy', true],
    ['cake', 'cakes', false],
    ['cake', 'a piece of Cake!', true],
    ['cake', 'the_cake', false],
    ['cake', 'cheesecake cake', true],
    ['cake*lie', 'the cake is a lie.', true],
    ['cake*lie', 'the cake is a liar', false],
    ['*ake', 'the cake', true],
    ['c?ke', 'coke', true],
    ['c?ke', 'a chke-cooke', true],
    ['c?ke', 'cooke', false],
    ['@room', 'hello @room', true],
    ['@room', 'hello@room', true],
    ['@room', '@rooms', false],
    ['*', '', true],
    ['', 'anything', false],
    ['', '', true],
    ['тест', 'это тест', true],
    ['foo bar', 'foo bar', true],
    ['?', 'a b', true],
  ])('%j, %j: %j', (pattern, text, expected) => {
    expect(words(pattern, text)).toBe(expected);
  });

  it('takes nothing for special in a literal', () => {
    expect(compileLiteral('a*b').matchesWords('axb')).toBe(false);
    expect(compileLiteral('a*b').matchesWords('say a*b')).toBe(true);
    expect(compileLiteral('what?').matchesWords('so, what? then')).toBe(true);
  });
});

/** The same by a regular expression, for texts of one line in which every character counts once. */
function expression(pattern: string, isWords: boolean): RegExp {
  const source = Array.from(pattern, (one) => (one === '*' ? '.*' : one === '?' ? '.' : one)).join('');
  return isWords
    ? new RegExp(`(?:^|(?<!\\w)|(?!\\w))${source}(?:$|(?!\\w)|(?<!\\w))`, 's')
    : new RegExp(`^${source}$`, 's');
}

const alphabet = fc.constantFrom('a', 'b', ' ', '-');
const pattern = fc
  .array(fc.oneof(alphabet, fc.constantFrom('*', '?')), { minLength: 1, maxLength: 8 })
  .map((all) => all.join(''));
const long = fc.array(alphabet, { minLength: 33, maxLength: 70 }).map((all) => all.join(''));

test('agrees with a regular expression', () => {
  fc.assert(
    fc.property(
      pattern,
      fc.array(alphabet, { maxLength: 14 }).map((all) => all.join('')),
      (glob, text) => {
        expect(compileGlob(glob).matchesAll(text)).toBe(expression(glob, false).test(text));
        expect(compileGlob(glob).matchesWords(text)).toBe(expression(glob, true).test(text));
      },
    ),
    { numRuns: 3000 },
  );
});

test('finds long pieces too', () => {
  fc.assert(
    fc.property(long, alphabet, alphabet, (piece, before, after) => {
      const text = `${before} ${piece} ${after}`;
      expect(compileGlob(piece).matchesWords(text)).toBe(expression(piece, true).test(text));
      expect(compileGlob(`*${piece}*`).matchesAll(text)).toBe(true);
      expect(compileGlob(`*${piece}x*`).matchesAll(text)).toBe(false);
      expect(compileGlob(`?*${piece}?*`).matchesAll(text)).toBe(true);
    }),
  );
});

test('takes no time to speak of for hostile patterns and texts', () => {
  const text = `${'a'.repeat(65_000)}b`;
  const patterns = [
    `${'a*'.repeat(500)}c`,
    `${'a?'.repeat(500)}c`,
    `${'a'.repeat(1000)}c`,
    `${'?'.repeat(1000)}c`,
    'a'.repeat(32),
  ];
  const inside = ['?'.repeat(1000), 'a'.repeat(1000), 'a'.repeat(32), `*${'?'.repeat(500)}*${'?'.repeat(400)}b?`];
  const startedMs = performance.now();
  for (const one of inside) compileGlob(one).matchesWords(`b${text}b`);
  for (const one of patterns) {
    expect(compileGlob(one).matchesAll(text)).toBe(false);
    expect(compileGlob(one).matchesWords(text)).toBe(false);
  }
  // Quadratic work would be hundreds of times as much.
  expect(performance.now() - startedMs).toBeLessThan(3000);
});
