import { expect, test } from 'vitest';
import { nearestName } from './nearest.ts';
import { parseDuration, parseSize } from './quantity.ts';

test.each([
  ['100MiB', 104_857_600],
  ['1.5 GB', 1_500_000_000],
  ['50M', 52_428_800],
  ['4096', 4096],
  ['0', 0],
  ['-1', undefined],
  ['big', undefined],
  ['1 constructor', undefined],
  ['', undefined],
])('size %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([
  ['30s', 30_000],
  ['5m', 300_000],
  ['1.5h', 5_400_000],
  ['2d', 172_800_000],
  ['5', undefined],
  ['1 year', undefined],
])('duration %s', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test('the nearest name is the likely one, if any', () => {
  const names = ['server_name', 'listeners', 'registration', 'open'];
  expect(nearestName('sever_name', names)).toBe('server_name');
  expect(nearestName('listener', names)).toBe('listeners');
  expect(nearestName('oepn', names)).toBe('open');
  expect(nearestName('quux', names)).toBeUndefined();
  expect(nearestName('x', names)).toBeUndefined();
});
