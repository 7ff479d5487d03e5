import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALLOW_ALL, matchesGlob, serverAclOf } from './server-acl.ts';

describe('a room', () => {
  it('without a list lets everybody in', () => {
    expect(serverAclOf(undefined)).toBe(ALLOW_ALL);
    expect(ALLOW_ALL('anybody.example')).toBe(true);
  });

  it.each([{}, { allow: [] }, { allow: 'a.example' }, { allow: [1, null] }, { deny: [] }])(
    'whose list allows nothing lets nobody in: %j',
    (content) => {
      expect(serverAclOf(content)('a.example')).toBe(false);
    },
  );

  it('denies before it allows', () => {
    const acl = serverAclOf({ allow: ['*'], deny: ['*.evil.example', 'evil.example'] });
    expect(['good.example', 'evil.example', 'a.evil.example', 'notevil.example'].map(acl)).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  it('does not look at dots at the end, or at case', () => {
    const acl = serverAclOf({ allow: ['*'], deny: ['*.evil.example', 'Evil.example'] });
    expect(['evil.example.', 'EVIL.example.:8448', 'a.evil.example.', 'good.example.'].map(acl)).toEqual([
      false,
      false,
      false,
      true,
    ]);
  });

  it('does not look at ports', () => {
    const acl = serverAclOf({ allow: ['*'], deny: ['evil.example', '[2001:db8::1]'] });
    expect(['evil.example', 'evil.example:8448', 'evil.example:1', '[2001:db8::1]:8448'].map(acl)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    // A pattern with a port can match nothing.
    expect(serverAclOf({ allow: ['good.example:8448'] })('good.example:8448')).toBe(false);
  });

  it('does not look at case, on neither side', () => {
    const acl = serverAclOf({ allow: ['*'], deny: ['EVIL.example', '*.Worse.Example'] });
    expect(['evil.EXAMPLE', 'A.wORSE.example'].map(acl)).toEqual([false, false]);
  });

  it('can shut out addresses, whatever it allows', () => {
    const acl = serverAclOf({ allow: ['*', '1.2.3.4'], allow_ip_literals: false });
    expect(['1.2.3.4', '1.2.3.4:8448', '[::1]', '[::1]:1', 'a.example', '1.2.3.4.example'].map(acl)).toEqual([
      false,
      false,
      false,
      false,
      true,
      true,
    ]);
  });

  it.each([{ allow_ip_literals: true }, {}, { allow_ip_literals: 'false' }, { allow_ip_literals: null }])(
    'lets addresses in otherwise: %j',
    (content) => {
      expect(serverAclOf({ allow: ['*'], ...content })('1.2.3.4')).toBe(true);
    },
  );

  it('lets nobody in whose name is none', () => {
    expect(['', 'a b', 'a.example:http', 'a.example/x', '[1.2.3.4]'].map(serverAclOf({ allow: ['*'] }))).toEqual(
      Array(5).fill(false),
    );
  });

  it('is not misled by what objects inherit, nor by entries that are no strings', () => {
    const acl = serverAclOf({ allow: ['*'], deny: [null, 1, {}, ['evil.example'], 'bad.example'] });
    expect(['evil.example', 'bad.example', 'constructor'].map(acl)).toEqual([true, false, true]);
  });
});

describe('patterns', () => {
  it.each([
    ['a.example', 'a.example', true],
    ['a.example', 'a?example', true],
    ['a.example', 'a.exampl', false],
    ['a.example', '?.example', true],
    ['ab.example', '?.example', false],
    ['.example', '?.example', false],
    ['a.example', '*', true],
    ['', '*', true],
    ['', '?', false],
    ['a.example', '*.example', true],
    ['example', '*.example', false],
    ['a.b.c.example', 'a.*.example', true],
    ['aab', '*ab', true],
    ['abab', '*ab', true],
    ['a.example.org', '*.example', false],
    ['axexample', 'a.example', false],
    ['a+b', 'a+b', true],
    ['abc', '[abc]*', false],
  ])('%s against %s', (text, pattern, expected) => {
    expect(matchesGlob(text, pattern)).toBe(expected);
  });

  it('mean the same as the regular expressions that they stand for', () => {
    const letters = fc.stringMatching(/^[ab.]{0,12}$/);
    const pattern = fc.stringMatching(/^[ab.*?]{0,8}$/);
    fc.assert(
      fc.property(letters, pattern, (text, glob) => {
        const expression = glob.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.');
        return matchesGlob(text, glob) === new RegExp(`^${expression}$`, 's').test(text);
      }),
    );
  });

  it('take no time, whatever they look like', () => {
    const began = performance.now();
    expect(matchesGlob('a'.repeat(10_000), `${'*a'.repeat(120)}*b`)).toBe(false);
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
