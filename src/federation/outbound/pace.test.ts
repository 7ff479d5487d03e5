import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { INTERVAL_MS, MAX_INTERVALS_LEFT, Pace } from './pace.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Asks for turns; `begun` counts those that were given. */
function asking(pace: Pace, turns: number): { begun: number } {
  const asked = { begun: 0 };
  for (let turn = 0; turn < turns; turn += 1) {
    void pace.turn().then(() => {
      asked.begun += 1;
    });
  }
  return asked;
}

it('gives the first turn at once, and one in each interval after', async () => {
  const asked = asking(new Pace(), 5);
  await vi.advanceTimersByTimeAsync(0);
  expect(asked.begun).toBe(1);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 2);
  expect(asked.begun).toBe(3);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 10);
  expect(asked.begun).toBe(5);
  expect(vi.getTimerCount()).toBe(0);
});

it('leaves intervals to those who wait for the server, and goes on when nobody does', async () => {
  let isBusy = true;
  const asked = asking(new Pace(() => isBusy), 3);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * MAX_INTERVALS_LEFT);
  expect(asked.begun).toBe(0);
  isBusy = false;
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
  expect(asked.begun).toBe(3);
});

it('gives turns also where it is never quiet', async () => {
  const asked = asking(new Pace(() => true), 2);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * (MAX_INTERVALS_LEFT + 1));
  expect(asked.begun).toBe(1);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * (MAX_INTERVALS_LEFT + 1));
  expect(asked.begun).toBe(2);
});

it('lets everybody go when it is closed', async () => {
  const pace = new Pace(() => true);
  const asked = asking(pace, 20);
  pace.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(asked.begun).toBe(20);
});
