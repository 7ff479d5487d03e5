import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Deadline } from './deadline.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('fires when the time is over', () => {
  const deadline = new Deadline(100);
  vi.advanceTimersByTime(99);
  expect(deadline.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(deadline.signal.reason).toMatchObject({ name: 'TimeoutError' });
  expect(deadline.isOver).toBe(true);
});

it('fires with the reason of the other signal, also of one that has fired', () => {
  const outer = new AbortController();
  const deadline = new Deadline(100, outer.signal);
  const reason = new Error('the server stops');
  outer.abort(reason);
  for (const { signal, isOver } of [deadline, new Deadline(100, outer.signal)]) {
    expect({ reason: signal.reason, isOver }).toEqual({ reason, isOver: false });
  }
  expect(vi.getTimerCount()).toBe(0);
});

it('fires no more, and leaves nothing behind, once it is ended', () => {
  const outer = new AbortController();
  const deadline = new Deadline(100, outer.signal);
  const remove = vi.spyOn(outer.signal, 'removeEventListener');
  deadline.end();
  expect(vi.getTimerCount()).toBe(0);
  expect(remove).toHaveBeenCalledOnce();
  outer.abort();
  expect(deadline.signal.aborted).toBe(false);
});
