import { expect, test } from 'vitest';
import { keyCountsFor, MAX_KEY_VALIDITY_MS, trustedUntil } from './key-validity.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';

const V4 = roomVersionRules('4') as RoomVersionRules;
const V5 = roomVersionRules('5') as RoomVersionRules;
const NOW = 1_700_000_000_000;

test.each([
  ['before its end', { validUntilTs: NOW }, NOW - 1, true],
  ['at its end', { validUntilTs: NOW }, NOW, true],
  ['after its end', { validUntilTs: NOW }, NOW + 1, false],
  ['within seven days', { validUntilTs: Number.MAX_SAFE_INTEGER }, NOW + MAX_KEY_VALIDITY_MS, true],
  [
    'later, however long it is promised',
    { validUntilTs: Number.MAX_SAFE_INTEGER },
    NOW + MAX_KEY_VALIDITY_MS + 1,
    false,
  ],
  ['from when an old key was used', { expiredTs: NOW - 9 }, NOW - 9, true],
  ['from after an old key was used', { expiredTs: NOW - 9 }, NOW - 8, false],
])('a key counts for an event %s: %j at %d: %s', (_when, key, time, counts) => {
  expect(keyCountsFor(key, time, NOW, V5)).toBe(counts);
  expect(keyCountsFor(key, time, NOW, V4)).toBe(true);
});

test('a key is trusted for seven days after it was heard of, and no longer than was said', () => {
  expect(trustedUntil(Number.MAX_SAFE_INTEGER, NOW)).toBe(NOW + MAX_KEY_VALIDITY_MS);
  expect(trustedUntil(NOW + 1, NOW)).toBe(NOW + 1);
  expect(trustedUntil(NOW - 1, NOW)).toBe(NOW - 1);
});
