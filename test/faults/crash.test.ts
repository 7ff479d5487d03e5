import { expect, it } from 'vitest';
import { runCrashCycles } from './crash-cycles.ts';

const CYCLES = 5;

it(`loses nothing that was acknowledged over ${CYCLES} crashes`, { timeout: 180_000 }, async () => {
  const reports = await runCrashCycles({
    cycles: CYCLES,
    seed: 20,
    senders: 4,
    minLoadMs: 50,
    maxLoadMs: 400,
    killStartEvery: 3,
    verifyEvery: CYCLES,
  });
  expect(reports).toHaveLength(CYCLES);
  expect(reports.reduce((sum, { acknowledged }) => sum + acknowledged, 0)).toBeGreaterThan(0);
});
