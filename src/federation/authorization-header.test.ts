import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatServerAuthorization, parseServerAuthorization } from './authorization-header.ts';

const full = { origin: 'a.example', destination: 'b.example:8448', keyId: 'ed25519:key1', signature: 'AB+/c' };

describe('reading', () => {
  it.each([
    [
      'as the specification writes it',
      'X-Matrix origin="a.example",destination="b.example:8448",key="ed25519:key1",sig="AB+/c"',
    ],
    ['in any order', 'X-Matrix sig="AB+/c",key="ed25519:key1",destination="b.example:8448",origin="a.example"'],
    ['in any case', 'x-MATRIX ORIGIN="a.example",Destination="b.example:8448",kEy="ed25519:key1",SIG="AB+/c"'],
    [
      'with spaces and tabs',
      'X-Matrix   origin="a.example" ,\t destination = "b.example:8448", key="ed25519:key1" ,sig="AB+/c" ',
    ],
    [
      'without quotes, colons included',
      'X-Matrix origin=a.example,destination=b.example:8448,key=ed25519:key1,sig=AB+/c',
    ],
    ['with escapes', 'X-Matrix origin="a\\.ex\\ample",destination="b.example:8448",key="ed25519:key1",sig="AB+/c"'],
    [
      'with unknown parameters',
      'X-Matrix x="\\"a\\", b",origin="a.example",destination="b.example:8448",key="ed25519:key1",sig="AB+/c"',
    ],
    [
      'with empty elements',
      'X-Matrix ,,origin="a.example",,destination="b.example:8448",key="ed25519:key1",sig="AB+/c",',
    ],
  ])('%s', (_how, header) => {
    expect(parseServerAuthorization(header)).toEqual(full);
  });

  it('does without a destination', () => {
    expect(parseServerAuthorization('X-Matrix origin=a,key="ed25519:1",sig="s"')?.destination).toBeUndefined();
  });

  it('keeps a quote and a comma that are part of a value', () => {
    expect(parseServerAuthorization('X-Matrix origin="a\\",key=\\"b",key="k",sig="s"')?.origin).toBe('a",key="b');
  });

  it.each([
    ['another scheme', 'Bearer origin="a",key="k",sig="s"'],
    ['a longer scheme', 'X-Matrixes origin="a",key="k",sig="s"'],
    ['no space', 'X-Matrixorigin="a",key="k",sig="s"'],
    ['no origin', 'X-Matrix key="k",sig="s"'],
    ['no key', 'X-Matrix origin="a",sig="s"'],
    ['no signature', 'X-Matrix origin="a",key="k"'],
    ['nothing', 'X-Matrix'],
    ['an origin twice', 'X-Matrix origin="a",origin="b",key="k",sig="s"'],
    ['an origin twice in another case', 'X-Matrix origin="a",Origin="b",key="k",sig="s"'],
    ['a quote that is not closed', 'X-Matrix origin="a,key="k",sig="s'],
    ['a value that goes on after its quote', 'X-Matrix origin="a"b,key="k",sig="s"'],
    ['no commas', 'X-Matrix origin="a" key="k" sig="s"'],
    ['an escape at the end', 'X-Matrix origin="a",key="k",sig="s\\'],
    ['no value', 'X-Matrix origin=,key="k",sig="s"'],
    ['semicolons', 'X-Matrix origin=a;key=k;sig=s'],
    ['too much', `X-Matrix origin="${'a'.repeat(3000)}",key="k",sig="s"`],
    ['too many parameters', `X-Matrix origin="a",key="k",sig="s",${Array.from({ length: 20 }, (_, n) => `p${n}=1`)}`],
  ])('refuses %s', (_what, header) => {
    expect(parseServerAuthorization(header)).toBeUndefined();
  });

  it('takes no time for what is made to take long', () => {
    const header = `X-Matrix origin="${'\\"'.repeat(900)}`;
    const began = performance.now();
    expect(parseServerAuthorization(header)).toBeUndefined();
    expect(performance.now() - began).toBeLessThan(1000);
  });
});

it('reads back what it wrote, whatever it is', () => {
  expect(parseServerAuthorization(formatServerAuthorization(full))).toEqual(full);
});

it('never throws', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      parseServerAuthorization(`X-Matrix ${text}`);
      return true;
    }),
  );
});
