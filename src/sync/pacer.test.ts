import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Pacer, SLICE_MS } from './pacer.ts';

function work(ms: number): void {
  const startedMs = performance.now();
  while (performance.now() - startedMs < ms);
}

describe('a pacer', () => {
  it('is due when a turn is used up, and not in the next', async () => {
    const pacer = new Pacer();
    expect(pacer.isDue).toBe(false);
    work(SLICE_MS + 1);
    expect(pacer.isDue).toBe(true);
    await pacer.pause();
    expect(pacer.isDue).toBe(false);
  });

  it('is not due after others had the time', async () => {
    const pacer = new Pacer();
    expect(pacer.isDue).toBe(false);
    await nextTurn();
    await nextTurn();
    work(SLICE_MS + 1);
    expect(pacer.isDue).toBe(false);
  });

  it('gives turns in the order of pausing, so that what is long does not go before what is short', async () => {
    const pacer = new Pacer();
    const done: string[] = [];
    const long = async (): Promise<void> => {
      for (let slice = 0; slice < 3; slice += 1) {
        await pacer.pause();
        done.push(`long ${slice}`);
        work(SLICE_MS + 1);
      }
    };
    const short = async (name: string): Promise<void> => {
      await pacer.pause();
      done.push(name);
    };
    await Promise.all([long(), short('a'), short('b')]);
    expect(done).toEqual(['long 0', 'a', 'b', 'long 1', 'long 2']);
  });
});
