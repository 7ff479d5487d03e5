import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'src/**/*.test.ts',
      'streams/**/*.test.ts',
      'projections/**/*.test.ts',
      'ops/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    // Native addons (LMDB) and process-wide locks want processes of their own.
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What a test waits for comes late on a busy machine; a second, the default, says nothing about it.
    expect: { poll: { timeout: 30_000 } },
  },
});
