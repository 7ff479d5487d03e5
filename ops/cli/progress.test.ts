import { describe, expect, test } from 'vitest';
import { count, formatSeconds, startProgress } from './progress.ts';

function recorder(isTTY: boolean, columns?: number) {
  let text = '';
  const output = {
    isTTY,
    ...(columns === undefined ? {} : { columns }),
    write: (part: string) => {
      text += part;
    },
  };
  return { output, text: () => text };
}

describe('progress', () => {
  test('without a terminal writes a line per interval and one at the end', () => {
    const { output, text } = recorder(false);
    let clockMs = 0;
    const progress = startProgress({ label: 'Verifying', unit: 'records', total: 4000, output, now: () => clockMs });
    clockMs = 1_000;
    progress.update(100);
    clockMs = 5_000;
    progress.update(1000);
    clockMs = 20_000;
    progress.update(4000);
    progress.finish();
    progress.finish();
    expect(text().split('\n')).toEqual([
      'Verifying: 1,000 of 4,000 records (25 %), 200/s, 15 s left',
      'Verifying: 4,000 of 4,000 records (100 %), 200/s',
      'Verifying: 4,000 of 4,000 records (100 %), 200/s',
      '',
    ]);
  });

  test('work that ends at once leaves no trace', () => {
    const { output, text } = recorder(true);
    const progress = startProgress({ label: 'Verifying', unit: 'records', total: 1, output, now: () => 0 });
    progress.update(1);
    progress.finish();
    expect(text()).toBe('');
  });

  test('on a terminal redraws one line that never wraps', () => {
    const { output, text } = recorder(true, 40);
    let clockMs = 0;
    const progress = startProgress({ label: 'Replaying', unit: 'records', total: 10, output, now: () => clockMs });
    clockMs = 200;
    progress.update(5);
    progress.finish();
    const drawings = text().split('\r\x1b[K').slice(1);
    expect(drawings).toHaveLength(2);
    for (const drawing of drawings) expect(drawing.trimEnd().length).toBeLessThan(40);
    expect(text().endsWith('\n')).toBe(true);
  });

  test('a wide terminal shows the bar', () => {
    const { output, text } = recorder(true, 120);
    let clockMs = 0;
    const progress = startProgress({ label: 'Replaying', unit: 'records', total: 10, output, now: () => clockMs });
    clockMs = 200;
    progress.update(5);
    expect(text()).toContain('[##############--------------] Replaying: 5 of 10 records (50 %), 25/s, 1 s left');
  });

  test('an unknown total shows count and rate', () => {
    const { output, text } = recorder(false);
    let clockMs = 0;
    const progress = startProgress({ label: 'Reading', unit: 'records', output, now: () => clockMs });
    clockMs = 5_000;
    progress.update(500);
    expect(text()).toBe('Reading: 500 records, 100/s\n');
  });
});

test('numbers and times for people', () => {
  expect(count(1234567)).toBe('1,234,567');
  expect(count(999)).toBe('999');
  expect(formatSeconds(59.2)).toBe('1 min 00 s');
  expect(formatSeconds(7)).toBe('7 s');
  expect(formatSeconds(7625)).toBe('2 h 07 min');
});
