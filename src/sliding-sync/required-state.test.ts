import { describe, expect, it } from 'vitest';
import { RequiredState, type RequiredStatePart, type StatePattern } from './required-state.ts';

function part(
  include: readonly (readonly [type: string | undefined, stateKey: string | undefined])[],
  rest: { readonly exclude?: readonly StatePattern[]; readonly isLazy?: boolean } = {},
): RequiredStatePart {
  const patterns = include.map(([type, stateKey]) => ({ type, stateKey }));
  return { include: patterns, exclude: rest.exclude ?? [], isLazy: rest.isLazy ?? false };
}

describe('what a rule wants', () => {
  it('is single keys, types, state keys of any type, or everything', () => {
    const wanted = (...patterns: (readonly [string | undefined, string | undefined])[]) =>
      new RequiredState([part(patterns)]);
    expect(wanted(['m.room.name', '']).matches('m.room.name', '')).toBe(true);
    expect(wanted(['m.room.name', '']).matches('m.room.name', 'x')).toBe(false);
    expect(wanted(['m.room.member', undefined]).matches('m.room.member', '@a:b')).toBe(true);
    expect(wanted([undefined, '@a:b']).matches('m.room.member', '@a:b')).toBe(true);
    expect(wanted([undefined, undefined]).matches('anything', 'at all')).toBe(true);
    expect(wanted().matches('m.room.name', '')).toBe(false);
  });

  it('leaves out what it excludes, and members where they are lazy', () => {
    const state = new RequiredState([
      part([[undefined, undefined]], { exclude: [{ type: 'm.room.topic', stateKey: undefined }], isLazy: true }),
    ]);
    expect(state.matches('m.room.name', '')).toBe(true);
    expect(state.matches('m.room.topic', '')).toBe(false);
    expect(state.matches('m.room.member', '@a:b')).toBe(false);
    expect(new RequiredState([part([[undefined, '@a:b']], { isLazy: true })]).matches('m.room.member', '@a:b')).toBe(
      true,
    );
  });

  it('is what any of several wants', () => {
    const all = part([[undefined, undefined]]);
    const lazily = part([[undefined, undefined]], { isLazy: true });
    expect(new RequiredState([lazily]).matches('m.room.member', '@a:b')).toBe(false);
    expect(new RequiredState([lazily, all]).matches('m.room.member', '@a:b')).toBe(true);
  });
});

describe('the key', () => {
  it('is the same for the same wishes in another order, and stands for them', () => {
    const one = part(
      [
        ['a', ''],
        [undefined, 'x'],
      ],
      { isLazy: true },
    );
    const other = part([['b', undefined]], { exclude: [{ type: 'b', stateKey: 'no' }] });
    const state = new RequiredState([one, other]);
    const shuffled = new RequiredState([
      other,
      part(
        [
          [undefined, 'x'],
          ['a', ''],
          ['a', ''],
        ],
        { isLazy: true },
      ),
    ]);
    expect(shuffled.key).toBe(state.key);
    const again = RequiredState.ofKey(state.key);
    expect(again.key).toBe(state.key);
    expect([again.matches('b', 'no'), again.matches('b', 'yes'), again.isLazy]).toEqual([false, true, true]);
  });
});

describe('covering', () => {
  const covers = (wide: readonly RequiredStatePart[], narrow: readonly RequiredStatePart[]): boolean =>
    new RequiredState(wide).covers(new RequiredState(narrow));

  it('is seen where a wider pattern stands for a narrower one', () => {
    expect(
      covers(
        [
          part([
            ['a', ''],
            ['b', ''],
          ]),
        ],
        [part([['a', '']])],
      ),
    ).toBe(true);
    expect(covers([part([['a', undefined]])], [part([['a', 'x']])])).toBe(true);
    expect(covers([part([[undefined, undefined]])], [part([['a', 'x']])])).toBe(true);
  });

  it('is never said where something may be missing', () => {
    expect(
      covers(
        [part([['a', '']])],
        [
          part([
            ['a', ''],
            ['b', ''],
          ]),
        ],
      ),
    ).toBe(false);
    expect(covers([part([['a', 'x']])], [part([['a', undefined]])])).toBe(false);
    expect(
      covers([part([[undefined, undefined]], { isLazy: true })], [part([['m.room.member', '@a:b']], { isLazy: true })]),
    ).toBe(false);
    expect(covers([part([[undefined, undefined]], { isLazy: true })], [part([[undefined, undefined]])])).toBe(false);
    expect(covers([part([['a', '']])], [part([['a', '']], { isLazy: true })])).toBe(false);
    const excluding = part([[undefined, undefined]], { exclude: [{ type: 'a', stateKey: undefined }] });
    expect(covers([excluding], [part([['a', '']])])).toBe(false);
  });
});
