import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Fewest processes that run tests: most of a test is waiting for a disk or for another process. */
const MIN_WORKERS = 2;

/**
 * Tests that kill, lock, listen to signals of or measure a process, or run clients of other makers, which change what is global: each
 * file has a process of its own. All others share those that there are, so that a thousand modules are loaded and compiled once, not
 * once a file: that is more than half of the time that they would take. So nothing that such a test leaves behind may matter to others.
 */
const ALONE = [
  'streams/**/*.test.ts',
  'test/accounts/**/*.test.ts',
  'test/e2e/**/*.test.ts',
  'test/faults/**/*.test.ts',
  // It stops the timers of everything in its process.
  'test/federation/unwilling-server.test.ts',
  'test/interop/**/*.test.ts',
  'test/projections/**/*.test.ts',
  'test/rooms/**/*.test.ts',
  'test/transparency/**/*.test.ts',
  'test/web/**/*.test.ts',
];

export default defineConfig({
  test: {
    // Native addons (LMDB) and process-wide locks want processes, not threads.
    pool: 'forks',
    maxWorkers: Math.max(MIN_WORKERS, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What a test waits for comes late on a busy machine; a second, the default, says nothing about it.
    expect: { poll: { timeout: 30_000 } },
    projects: [
      { extends: true, test: { name: 'alone', include: ALONE } },
      {
        extends: true,
        test: {
          name: 'shared',
          isolate: false,
          include: ['{src,projections,ops,test}/**/*.test.ts'],
          exclude: ALONE,
        },
      },
    ],
  },
});
