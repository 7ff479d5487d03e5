import { expect, it } from 'vitest';
import type { AskServer } from './operator-request.ts';
import { withProgress } from './retention-progress.ts';

it('shows how far the server is, as long as the work goes on', async () => {
  const lines: string[] = [];
  let nowMs = 0;
  const finished = Promise.withResolvers<string>();
  const states = [{}, { done: 100, total: 1000 }, { done: 900, total: 1000 }];
  const ask = (async (path: string) => {
    expect(path).toBe('/_stele/operator/retention/progress');
    nowMs += 10_000;
    const state = states.shift();
    if (state === undefined) finished.resolve('done');
    return state ?? {};
  }) as AskServer;
  const output = { write: (text: string) => lines.push(text) };
  const display = { label: 'Planning', output, now: () => nowMs };
  expect(await withProgress(ask, display, () => finished.promise, 1)).toBe('done');
  expect(lines.join('')).toContain('Planning: 900 of 1,000 records (90 %)');
});

it('passes on what is wrong with the work, and nothing of what is wrong with the bar', async () => {
  const ask = (() => Promise.reject(new Error('no answer'))) as AskServer;
  const failing = withProgress(ask, { label: 'Planning' }, () => Promise.reject(new Error('refused')), 1);
  await expect(failing).rejects.toThrow('refused');
});
