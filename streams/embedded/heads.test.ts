import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Chain, clearLowestBit, nextChain, StreamHeads } from './heads.ts';

test('the second entry of a chain is where revision r & (r − 1) is', () => {
  let chain: Chain = [];
  const positions: number[] = [];
  for (let revision = 0; revision < 5000; revision++) {
    const position = revision * 3 + 7;
    positions.push(position);
    chain = nextChain(chain, revision - 1, position);
    expect(chain[0]).toBe(position);
    expect(chain[1]).toBe(revision === 0 ? undefined : positions[revision & (revision - 1)]);
    expect(chain.length).toBeLessThanOrEqual(14);
  }
});

test('lowest bits are cleared beyond 32 bits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 48 }), (revision) => {
      expect(BigInt(clearLowestBit(revision))).toBe(BigInt(revision) & (BigInt(revision) - 1n));
    }),
  );
});

test('a stream of which nothing is durable is forgotten when its appends are rolled back', () => {
  const heads = new StreamHeads();
  heads.of('new').queued = 3;
  heads.set('old', 5, [9, 7]);
  heads.of('old').queued = 8;
  heads.rollBack('new');
  heads.rollBack('old');
  expect(heads.get('new')).toBeUndefined();
  expect(heads.get('old')).toMatchObject({ revision: 5, queued: 5, chain: [9, 7] });
  expect(heads.size).toBe(1);
});
