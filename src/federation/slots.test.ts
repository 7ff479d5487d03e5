import { expect, it } from 'vitest';
import { Slots } from './slots.ts';

const never = new AbortController().signal;

it('lets so many in for each name, and the next when one goes', async () => {
  const slots = new Slots({ perName: 1, maxWaiting: 5 });
  const first = await slots.take('a', never);
  const other = await slots.take('b', never);
  const order: string[] = [];
  const second = slots.take('a', never).then((release) => {
    order.push('second');
    return release;
  });
  const third = slots.take('a', never).then((release) => {
    order.push('third');
    return release;
  });
  first?.();
  // Twice is once.
  first?.();
  (await second)?.();
  (await third)?.();
  other?.();
  expect(order).toEqual(['second', 'third']);
  expect([slots.takenBy('a'), slots.takenBy('b')]).toEqual([0, 0]);
});

it('turns away whom it has no room for', async () => {
  const slots = new Slots({ perName: 1, maxWaiting: 1 });
  await slots.take('a', never);
  void slots.take('a', never);
  expect(await slots.take('a', never)).toBeUndefined();
});

it('forgets who gives up, before or while waiting', async () => {
  const slots = new Slots({ perName: 1, maxWaiting: 2 });
  const first = await slots.take('a', never);
  await expect(slots.take('a', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  const stopper = new AbortController();
  const second = slots.take('a', stopper.signal);
  const third = slots.take('a', never);
  stopper.abort(new Error('enough'));
  await expect(second).rejects.toThrow('enough');
  first?.();
  const release = await third;
  stopper.abort();
  release?.();
  expect(slots.takenBy('a')).toBe(0);
});
