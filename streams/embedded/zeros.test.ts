import { expect, it } from 'vitest';
import { lastNonZero } from './zeros.ts';

it.each([0, 1, 4095, 4096, 4097, 8192, 10_000])('finds the last byte that is not zero among %i', (length) => {
  const bytes = Buffer.alloc(length);
  expect(lastNonZero(bytes)).toBe(-1);
  for (const at of [0, 1, 4095, 4096, 8191, length - 1]) {
    if (at < 0 || at >= length) continue;
    bytes.fill(0);
    bytes[at] = 1;
    expect(lastNonZero(bytes)).toBe(at);
    bytes[0] = 7;
    expect(lastNonZero(bytes)).toBe(at);
  }
});
