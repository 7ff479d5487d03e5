/** Properties that are to hold for random histories. */
import fc from 'fast-check';

/**
 * Checks a property, by default with the same histories each time. `STELE_TEST_RUNS` and `STELE_TEST_SEED` in the environment ask for
 * more of them, and for others.
 *
 * @param runs how many histories are enough for every day.
 */
export async function holds<T>(
  histories: fc.Arbitrary<T>,
  property: (history: T) => Promise<void>,
  runs: number,
): Promise<void> {
  const { STELE_TEST_RUNS, STELE_TEST_SEED } = process.env;
  await fc.assert(fc.asyncProperty(histories, property), {
    numRuns: Number(STELE_TEST_RUNS ?? runs),
    seed: Number(STELE_TEST_SEED ?? 1),
  });
}
