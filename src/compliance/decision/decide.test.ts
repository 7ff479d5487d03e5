import { describe, expect, it } from 'vitest';
import { ITEM_CLASSES, type ItemClass, type Lifetime, type RetentionPolicy } from '#projections/compliance/records.ts';
import {
  type Circumstances,
  covers,
  decide,
  type Item,
  lifetimeOf,
  type Request,
  type StandingHold,
} from './decide.ts';

const DAY = 86_400_000;
const NOW = 1_000 * DAY;
const FOREVER: Lifetime = { minMs: 0, maxMs: null, legalBasis: null };

function policy(
  classes: Partial<Record<ItemClass, Partial<Lifetime>>> = {},
  rest: Partial<RetentionPolicy> = {},
): RetentionPolicy {
  const all = Object.fromEntries(ITEM_CLASSES.map((name) => [name, { ...FOREVER, ...classes[name] }]));
  return {
    classes: all as RetentionPolicy['classes'],
    roomBounds: { minMs: 0, maxMs: null },
    redactedMs: 7 * DAY,
    ...rest,
  };
}

const message: Item = {
  position: 5,
  sections: [1],
  class: 'messages',
  userIds: ['@ann:x'],
  roomId: '!r:x',
  recordedAtMs: NOW - 100 * DAY,
};
const erasure: Request = { cause: 'erasure', userId: '@ann:x' };
const retention: Request = { cause: 'retention' };
const hold: StandingHold = { id: 'H1', scope: { roomId: '!r:x' } };

function given(change: Partial<Circumstances> = {}): Circumstances {
  return { policy: policy(), holds: [], nowMs: NOW, ...change };
}

describe('precedence', () => {
  it('a hold beats everything that is asked, and is named', () => {
    const requests: Request[] = [
      erasure,
      retention,
      { cause: 'redaction', redactedAtMs: 0 },
      { cause: 'delivered', deliveredAtMs: 0 },
      { cause: 'room_purge' },
      { cause: 'history_purge' },
      { cause: 'media_removal' },
      { cause: 'unused_media' },
      { cause: 'key_backup' },
    ];
    for (const request of requests) {
      const verdict = decide(message, request, given({ holds: [hold], policy: policy({ messages: { maxMs: DAY } }) }));
      expect(verdict).toMatchObject({ outcome: 'defer', rule: 'hold', holdIds: ['H1'] });
      expect(verdict.why).toContain('H1');
    }
  });

  it('a minimum beats erasure only with a legal basis, and everything else without one', () => {
    const young = { ...message, recordedAtMs: NOW - DAY };
    const plain = given({ policy: policy({ messages: { minMs: 30 * DAY } }) });
    const legal = given({ policy: policy({ messages: { minMs: 30 * DAY, legalBasis: 'Art. 6' } }) });
    expect(decide(young, erasure, plain)).toMatchObject({ outcome: 'destroy', rule: 'erasure' });
    expect(decide(young, erasure, legal)).toMatchObject({ outcome: 'keep', rule: 'minimum', untilMs: NOW + 29 * DAY });
    expect(decide(young, erasure, legal).why).toContain('Art. 6');
    expect(decide(young, { cause: 'history_purge' }, plain)).toMatchObject({ outcome: 'keep', rule: 'minimum' });
    expect(decide(young, { cause: 'redaction', redactedAtMs: 0 }, plain)).toMatchObject({ rule: 'minimum' });
    expect(decide(message, erasure, legal)).toMatchObject({ outcome: 'destroy' });
  });

  it('erasure beats the maximum: what would be kept for years goes', () => {
    expect(decide(message, erasure, given({ policy: policy({ messages: { maxMs: 3650 * DAY } }) }))).toMatchObject({
      outcome: 'destroy',
      rule: 'erasure',
    });
  });

  it('what the server needs stays, and what is gone needs nothing', () => {
    const needed = { ...message, neededFor: 'The room needs it.' };
    expect(decide(needed, erasure, given())).toMatchObject({ outcome: 'keep', rule: 'needed' });
    expect(decide({ ...needed, isGone: true }, erasure, given({ holds: [hold] }))).toMatchObject({ outcome: 'gone' });
  });

  it('erasure of one takes nothing of another', () => {
    expect(decide(message, { cause: 'erasure', userId: '@bob:x' }, given())).toMatchObject({ outcome: 'keep' });
  });
});

describe('time', () => {
  it('a maximum is reached to the millisecond', () => {
    const age = 100 * DAY;
    const at = (maxMs: number) => decide(message, retention, given({ policy: policy({ messages: { maxMs } }) }));
    expect(at(age)).toMatchObject({ outcome: 'destroy', rule: 'maximum' });
    expect(at(age + 1)).toMatchObject({ outcome: 'keep', rule: 'not_due', untilMs: NOW + 1 });
  });

  it('what was redacted goes after the window, or never', () => {
    const redacted = (redactedAtMs: number): Request => ({ cause: 'redaction', redactedAtMs });
    expect(decide(message, redacted(NOW - 7 * DAY), given())).toMatchObject({ rule: 'redaction_window' });
    expect(decide(message, redacted(NOW - 7 * DAY + 1), given())).toMatchObject({ outcome: 'keep', untilMs: NOW + 1 });
    const never = given({ policy: policy({}, { redactedMs: null }) });
    expect(decide(message, redacted(0), never)).toMatchObject({ outcome: 'keep' });
  });
});

describe("a room's own policy", () => {
  const bounded = (minMs: number, maxMs: number | null) => policy({}, { roomBounds: { minMs, maxMs } });
  const lifetime = (room: { minMs: number | null; maxMs: number | null }, of: RetentionPolicy) =>
    lifetimeOf(message, { policy: of, room, holds: [], nowMs: NOW });

  it('sets the maximum within the bounds of the server', () => {
    expect(lifetime({ minMs: null, maxMs: 5 * DAY }, bounded(0, null)).maxMs).toBe(5 * DAY);
    expect(lifetime({ minMs: null, maxMs: 1 }, bounded(DAY, 90 * DAY)).maxMs).toBe(DAY);
    expect(lifetime({ minMs: null, maxMs: 900 * DAY }, bounded(DAY, 90 * DAY)).maxMs).toBe(90 * DAY);
    expect(lifetime({ minMs: null, maxMs: null }, bounded(DAY, 90 * DAY)).maxMs).toBe(90 * DAY);
  });

  it('raises the minimum, never above the maximum, and says nothing about other classes', () => {
    expect(lifetime({ minMs: 10 * DAY, maxMs: 20 * DAY }, bounded(0, null)).minMs).toBe(10 * DAY);
    expect(lifetime({ minMs: 100 * DAY, maxMs: 200 * DAY }, bounded(0, 30 * DAY)).minMs).toBe(30 * DAY);
    const media = lifetimeOf(
      { class: 'media' },
      { policy: policy(), room: { minMs: 1, maxMs: 2 }, holds: [], nowMs: NOW },
    );
    expect(media).toEqual(FOREVER);
  });
});

describe('a hold', () => {
  it('covers what all of its conditions are true of', () => {
    const media: Item = { ...message, class: 'media', mediaId: 'M', userIds: ['@ann:x', '@bob:x'] };
    expect(covers({ userId: '@bob:x', mediaId: 'M' }, media)).toBe(true);
    expect(covers({ userId: '@carl:x', mediaId: 'M' }, media)).toBe(false);
    expect(covers({ roomId: '!other:x' }, message)).toBe(false);
    expect(covers({ fromMs: message.recordedAtMs, toMs: message.recordedAtMs + 1 }, message)).toBe(true);
    expect(covers({ toMs: message.recordedAtMs }, message)).toBe(false);
    expect(covers({ fromMs: message.recordedAtMs + 1 }, message)).toBe(false);
  });
});

describe('whatever is asked, of whatever item', () => {
  /** The same numbers for the same seed. Source: mulberry32, public domain. */
  function randomOf(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
    };
  }

  it('keeps to the precedence', () => {
    const random = randomOf(7);
    const users = ['@a:x', '@b:x', '@c:x'];
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    const outcomes = new Set<string>();
    for (let round = 0; round < 20_000; round++) {
      const itemClass = pick(ITEM_CLASSES);
      const item: Item = {
        position: round,
        sections: [1],
        class: itemClass,
        userIds: [pick(users), pick(users)].slice(random(2)),
        recordedAtMs: NOW - random(50) * DAY,
        ...(random(2) === 0 && { roomId: pick(['!r:x', '!s:x']) }),
        ...(random(8) === 0 && { neededFor: 'It is needed.' }),
        ...(random(12) === 0 && { isGone: true }),
      };
      const minMs = random(3) === 0 ? random(40) * DAY : 0;
      const maxMs = random(2) === 0 ? minMs + random(40) * DAY : null;
      const legalBasis = random(2) === 0 ? 'a law' : null;
      const holds: StandingHold[] = Array.from({ length: random(3) }, (_, n) => ({
        id: `H${n}`,
        scope:
          random(2) === 0
            ? { userId: pick(users) }
            : { roomId: '!r:x', ...(random(2) === 0 && { toMs: NOW - random(50) * DAY }) },
      }));
      const request = pick<Request>([
        { cause: 'erasure', userId: pick(users) },
        { cause: 'retention' },
        { cause: 'redaction', redactedAtMs: NOW - random(20) * DAY },
        { cause: 'room_purge' },
      ]);
      const circumstances = given({ policy: policy({ [itemClass]: { minMs, maxMs, legalBasis } }), holds });
      const { outcome, holdIds } = decide(item, request, circumstances);
      outcomes.add(outcome);

      const isHeld = holds.some(({ scope }) => covers(scope, item));
      const isYoung = NOW < item.recordedAtMs + minMs;
      expect(outcome === 'gone').toBe(item.isGone === true);
      if (item.isGone === true) continue;
      expect(outcome === 'defer').toBe(isHeld);
      expect(holdIds.length > 0).toBe(isHeld);
      if (isHeld) continue;
      const expires = request.cause === 'retention' && (itemClass === 'access_logs' || itemClass === 'evidence');
      if (item.neededFor !== undefined && !expires) expect(outcome).toBe('keep');
      else if (isYoung && (request.cause !== 'erasure' || legalBasis !== null)) expect(outcome).toBe('keep');
      else if (request.cause === 'erasure') expect(outcome === 'destroy').toBe(item.userIds.includes(request.userId));
      else if (request.cause === 'retention') {
        expect(outcome === 'destroy').toBe(maxMs !== null && NOW >= item.recordedAtMs + maxMs);
      }
    }
    expect([...outcomes].sort()).toEqual(['defer', 'destroy', 'gone', 'keep']);
  });
});
