import { expect, it } from 'vitest';
import { Budget } from './budget.ts';

it('gives each name so much at once, and more with time', () => {
  let nowMs = 0;
  const budget = new Budget({ burst: 3, refillMs: 100, maxNames: 10, clock: () => nowMs });
  const takeAll = (name: string): number => {
    let taken = 0;
    while (taken < 10 && budget.take(name)) taken += 1;
    return taken;
  };
  expect([takeAll('a'), takeAll('b')]).toEqual([3, 3]);
  nowMs = 99;
  expect(takeAll('a')).toBe(0);
  nowMs = 250;
  expect(takeAll('a')).toBe(2);
  nowMs = 300;
  expect(takeAll('a')).toBe(1);
  nowMs = 100_000;
  expect(takeAll('a')).toBe(3);
  nowMs = 0;
  expect(takeAll('a')).toBe(0);
  expect([budget.take('c', 4), budget.take('c', 2), budget.take('c', 2), budget.take('c', 1)]).toEqual([
    false,
    true,
    false,
    true,
  ]);
});
