import { describe, expect, test } from 'vitest';
import { network, RATE_LIMITS, RateLimiter } from './rate-limit.ts';

describe('rate limits', () => {
  test('a burst passes, then the steady rate', () => {
    let nowMs = 0;
    const limiter = new RateLimiter({ now: () => nowMs });
    const { burst, perSecond } = RATE_LIMITS.login.perAddress;
    for (let count = 0; count < burst; count += 1) expect(limiter.take('login', undefined, '192.0.2.1')).toBe(0);
    const waitMs = limiter.take('login', undefined, '192.0.2.1');
    expect(waitMs).toBeCloseTo(1000 / perSecond);
    nowMs += waitMs;
    expect(limiter.take('login', undefined, '192.0.2.1')).toBe(0);
    expect(limiter.take('login', undefined, '192.0.2.1')).toBeGreaterThan(0);
  });

  test('users, addresses and classes do not share', () => {
    const limiter = new RateLimiter({ now: () => 0 });
    while (limiter.take('login', undefined, '192.0.2.1') === 0);
    expect(limiter.take('login', undefined, '192.0.2.2')).toBe(0);
    expect(limiter.take('login', '@a:test', '192.0.2.1')).toBe(0);
    expect(limiter.take('read', undefined, '192.0.2.1')).toBe(0);
    expect(limiter.take('none', undefined, '192.0.2.1')).toBe(0);
  });

  test('memory is bounded; who was seen longest ago is forgotten', () => {
    const limiter = new RateLimiter({ now: () => 0, maxBuckets: 2 });
    while (limiter.take('login', undefined, '192.0.2.1') === 0);
    limiter.take('login', undefined, '192.0.2.2');
    limiter.take('login', undefined, '192.0.2.1');
    limiter.take('login', undefined, '192.0.2.3');
    expect(limiter.size).toBe(2);
    expect(limiter.take('login', undefined, '192.0.2.1')).toBeGreaterThan(0);
  });
});

test('an IPv6 customer is one address', () => {
  expect(network('192.0.2.1')).toBe('192.0.2.1');
  expect(network('::ffff:192.0.2.1')).toBe('192.0.2.1');
  expect(network('2001:db8:0:1::5')).toBe(network('2001:0DB8:0:1:ffff::6'));
  expect(network('2001:db8:0:1::5')).not.toBe(network('2001:db8:0:2::5'));
  expect(network('::1')).toBe('0:0:0:0');
  expect(network('fe80::1%eth0')).toBe('fe80:0:0:0');
});
