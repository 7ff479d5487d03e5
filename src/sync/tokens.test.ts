import { describe, expect, it } from 'vitest';
import { MatrixError } from '#src/http/errors.ts';
import {
  FIRST_PLACE,
  formatPlace,
  formatSyncToken,
  LAST_PLACE,
  parsePaginationToken,
  parseSyncToken,
  placeBefore,
} from './tokens.ts';

describe('a sync token', () => {
  it.each([
    { position: 0, serial: 0, epoch: 'a' },
    { position: -1, serial: 7, epoch: '0f9' },
    { position: 2 ** 48 - 1, serial: 12, epoch: 'deadbeef' },
    { position: 12, serial: 0, epoch: 'a', inbox: 7 },
  ])('%j says the same when it comes back', (token) => {
    expect(parseSyncToken(formatSyncToken(token))).toEqual(token);
    expect(parsePaginationToken(formatSyncToken(token))).toMatchObject({ kind: 'sync', token });
  });

  it.each([
    '',
    's',
    's1',
    's1_2',
    's1_2_',
    's-2_0_a',
    's1_2_A',
    's1_2_a_',
    's1_2_a_-1',
    's1.5_0_a',
    's281474976710656_0_a',
    ' s1_2_a',
    't1_2',
  ])('%j is none', (text) => {
    expect(() => parseSyncToken(text)).toThrow(expect.objectContaining({ errcode: 'M_INVALID_PARAM' }));
  });
});

describe('a pagination token', () => {
  it.each([FIRST_PLACE, LAST_PLACE, { depth: 12, position: 34 }])('%j says the same when it comes back', (place) => {
    expect(parsePaginationToken(formatPlace(place, 0))).toEqual({ kind: 'place', place, life: 0 });
    expect(parsePaginationToken(formatPlace(place, 2))).toEqual({ kind: 'place', place, life: 2 });
  });

  it.each(['t', 't1', 't1_', 't-1_2', 't1_281474976710656', 't999999999999999_1', 'x', 'S1_2_a'])(
    '%j is none',
    (text) => {
      expect(() => parsePaginationToken(text)).toThrow(MatrixError);
    },
  );
});

describe('the place before an event', () => {
  it('comes after everything that comes before the event', () => {
    expect(placeBefore({ depth: 3, position: 8 })).toEqual({ depth: 3, position: 7 });
    expect(placeBefore({ depth: 1, position: 0 })).toEqual({ depth: 0, position: LAST_PLACE.position });
  });
});
