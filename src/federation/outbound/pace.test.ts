import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { INTERVAL_MS, MAX_INTERVALS_LEFT, MAX_SHARE, MAX_WAIT_MS, Pace, type PaceOptions } from './pace.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A pace on a thread that worked so much of its time, as the clock of the test goes. */
function paceOn({ share = () => 0, ...options }: { readonly share?: () => number } & PaceOptions = {}): Pace {
  let seenMs = performance.now();
  const time = { active: 0, idle: 0 };
  return new Pace({
    threadTime: () => {
      const passedMs = performance.now() - seenMs;
      seenMs += passedMs;
      time.active += passedMs * share();
      time.idle += passedMs * (1 - share());
      return { ...time };
    },
    ...options,
  });
}

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
  const asked = asking(paceOn(), 5);
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
  const asked = asking(paceOn({ isBusy: () => isBusy }), 3);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * MAX_INTERVALS_LEFT);
  expect(asked.begun).toBe(0);
  isBusy = false;
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
  expect(asked.begun).toBe(3);
});

it('gives turns also where it is never quiet', async () => {
  const asked = asking(paceOn({ isBusy: () => true }), 2);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * (MAX_INTERVALS_LEFT + 1));
  expect(asked.begun).toBe(1);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * (MAX_INTERVALS_LEFT + 1));
  expect(asked.begun).toBe(2);
});

it('waits until what was begun has taken no more than its share of the time', async () => {
  let share = 0.9;
  const asked = asking(paceOn({ share: () => share }), 3);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(asked.begun).toBe(1);
  // Nine tenths of one interval are less than the share of three.
  share = 0;
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(0.9 / 2).toBeGreaterThan(MAX_SHARE);
  expect(asked.begun).toBe(1);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(0.9 / 3).toBeLessThan(MAX_SHARE);
  expect(asked.begun).toBe(2);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(asked.begun).toBe(3);
});

it('gives the first turn after a pause at once, however much else the thread has to do', async () => {
  const pace = paceOn({ share: () => 0.9 });
  asking(pace, 1);
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 2);
  const asked = asking(pace, 1);
  await vi.advanceTimersByTimeAsync(0);
  expect(asked.begun).toBe(1);
});

it('lets nobody wait longer than the longest wait, however many there are', async () => {
  const turnMs = INTERVAL_MS * (MAX_INTERVALS_LEFT + 1);
  const servers = 2 * Math.ceil(MAX_WAIT_MS / turnMs);
  const asked = asking(paceOn({ isBusy: () => true }), servers);
  await vi.advanceTimersByTimeAsync(MAX_WAIT_MS);
  expect(asked.begun).toBeLessThan(servers);
  await vi.advanceTimersByTimeAsync(servers * INTERVAL_MS);
  expect(asked.begun).toBe(servers);
});

it('lets everybody go when it is closed', async () => {
  const pace = paceOn({ isBusy: () => true });
  const asked = asking(pace, 20);
  pace.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(asked.begun).toBe(20);
});
