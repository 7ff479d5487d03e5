import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateTree } from './state-tree.ts';

const SLOTS = 700;
const changes = fc.array(
  fc.tuple(fc.nat(SLOTS - 1), fc.option(fc.constantFrom('$a', '$b', '$c'), { nil: undefined })),
  { maxLength: 60 },
);

type Change = readonly [slot: number, eventId: string | undefined];

function applied(to: StateTree, list: readonly Change[]): StateTree {
  return list.reduce((tree, [slot, eventId]) => tree.with(slot, eventId), to);
}

function appliedToMap(to: ReadonlyMap<number, string>, list: readonly Change[]): Map<number, string> {
  const map = new Map(to);
  for (const [slot, eventId] of list) {
    if (eventId === undefined) map.delete(slot);
    else map.set(slot, eventId);
  }
  return map;
}

test('a state is what a map is, whatever is made of it later', () => {
  fc.assert(
    fc.property(changes, changes, changes, (common, left, right) => {
      const base = applied(StateTree.empty(SLOTS), common);
      const baseMap = appliedToMap(new Map(), common);
      const [a, b] = [applied(base, left), applied(base, right)];
      const [mapA, mapB] = [appliedToMap(baseMap, left), appliedToMap(baseMap, right)];
      for (const [tree, map] of [
        [base, baseMap],
        [a, mapA],
        [b, mapB],
      ] as const) {
        expect([...tree.entries()]).toEqual([...map].sort(([x], [y]) => x - y));
        for (let slot = 0; slot < SLOTS; slot += 1) expect(tree.get(slot)).toBe(map.get(slot));
      }
      const differing = Array.from({ length: SLOTS }, (_, slot) => slot).filter(
        (slot) => mapA.get(slot) !== mapB.get(slot),
      );
      expect(a.differenceFrom(b)).toEqual(differing);
    }),
    { numRuns: 60 },
  );
});

test('setting what is there makes no other state', () => {
  const state = StateTree.empty(10).with(3, '$a');
  expect(state.with(3, '$a')).toBe(state);
  expect(state.with(4, '$b').identity).not.toBe(state.identity);
  expect(StateTree.empty(1).with(0, '$a').get(0)).toBe('$a');
});
