import { expect, test } from 'vitest';
import { TokenCache } from './token-cache.ts';

const entry = (userId: string) => ({
  isLocked: false,
  requester: { userId, deviceId: 'D', tokenId: 't', isGuest: false, isAdmin: false },
  expiresAtMs: null,
  activity: { seenAtMs: 0, ip: '', userAgent: undefined },
});

test('all tokens of an account are void when it changes, and those of others stay', () => {
  const cache = new TokenCache();
  cache.add('a1', entry('@a:x'));
  cache.add('a2', entry('@a:x'));
  cache.add('b', entry('@b:x'));
  cache.invalidate('@a:x');
  expect([cache.get('a1'), cache.get('a2')]).toEqual([undefined, undefined]);
  expect(cache.get('b')?.requester.userId).toBe('@b:x');
  cache.add('a1', entry('@a:x'));
  expect(cache.get('a1')).toBeDefined();
  expect(cache.get('a2')).toBeUndefined();
});

test('it is bounded, and keeps what is in use', () => {
  const cache = new TokenCache(100);
  cache.add('used', entry('@used:x'));
  for (let n = 0; n < 10_000; n += 1) {
    cache.add(`t${n}`, entry(`@u${n}:x`));
    expect(cache.get('used')).toBeDefined();
  }
  expect(cache.size).toBeLessThanOrEqual(200);
  expect(cache.get('t0')).toBeUndefined();
  expect(cache.get('t9999')).toBeDefined();
});

test('a token that moved between generations can still be made void', () => {
  const cache = new TokenCache(2);
  cache.add('a', entry('@a:x'));
  for (const n of [1, 2, 3]) cache.add(`t${n}`, entry(`@u${n}:x`));
  cache.get('a');
  cache.invalidate('@a:x');
  expect(cache.get('a')).toBeUndefined();
});
