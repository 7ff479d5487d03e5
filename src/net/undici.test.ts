import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { PARTS } from './undici.ts';

it('leaves the event loop to others while it is loaded', async () => {
  // Another test of this process may have used it.
  vi.resetModules();
  const { undici, undiciLoaded } = await import('./undici.ts');
  let turns = 0;
  let isLoading = true;
  const count = async (): Promise<void> => {
    for (; isLoading; turns += 1) await nextTurn();
  };
  const counting = count();
  const loaded = await undiciLoaded();
  isLoading = false;
  await counting;
  expect(loaded).toBe(undici());
  expect(turns).toBeGreaterThanOrEqual(PARTS.length);
});

it.each(PARTS)('has %s, which is loaded in a turn of its own', (part) => {
  expect(() => createRequire(import.meta.url).resolve(part)).not.toThrow();
});
