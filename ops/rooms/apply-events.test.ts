import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AppliedEvents, applyEvents, type ForkResolution } from './apply-events.ts';
import { checkAuthOfAll } from './check-auth.ts';
import { EventCycleError, TooManyForksError } from './errors.ts';
import { resolveGivenStates } from './resolve-sets.ts';
import { RoomFile } from './room.test-support.ts';

function apply(room: RoomFile): AppliedEvents {
  return applyEvents(room.events(), { rules: room.rules });
}

function eventAt(state: AppliedEvents['state'], type: string, stateKey = ''): string | undefined {
  return state.find((entry) => entry.type === type && entry.stateKey === stateKey)?.eventId;
}

/** Milliseconds that hostile input may take; generous, as the machine may be busy. What it must not be is quadratic. */
const BOUND_MS = 20_000;

function bounded<T>(work: () => T): T {
  // Of the processor, not of the clock: others may want the machine too.
  const before = process.cpuUsage();
  const outcome = work();
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(BOUND_MS);
  return outcome;
}

describe.each(['1', '2', '10', '11', '12'])('in room version %s', (version) => {
  test('forks are resolved where they meet, and at the end', () => {
    const room = new RoomFile(version);
    room.join('@bob:b.org', ['$rules']);
    room.join('@cid:c.org', ['$rules']);
    const message = room.add({
      id: '$message',
      type: 'm.room.message',
      stateKey: null,
      prev: ['$@bob:b.org', '$@cid:c.org'],
      auth: ['$ann', '$levels'],
    });
    room.topic('$topic', [message]);
    room.join('@dee:d.org', ['$rules']);
    const forks: ForkResolution[] = [];
    const { state, forwardExtremities } = applyEvents(room.events(), {
      rules: room.rules,
      onResolution: (fork) => forks.push(fork),
    });
    expect(state).toHaveLength(8);
    expect(eventAt(state, 'm.room.topic')).toBe('$topic');
    for (const user of ['@bob:b.org', '@cid:c.org', '@dee:d.org'])
      expect(eventAt(state, 'm.room.member', user)).toBe(`$${user}`);
    expect(forwardExtremities.toSorted()).toEqual(['$@dee:d.org', '$topic']);
    expect(forks.map(({ at }) => at)).toEqual(['$message', undefined]);
    expect(forks[0]?.resolution.changes.map(({ eventId }) => eventId)).toEqual(['$@bob:b.org', '$@cid:c.org']);
  });

  test('what the auth events or the state before refuse stays out, and hides nothing', () => {
    const room = new RoomFile(version);
    room.join('@bob:b.org', ['$rules']);
    room.add({
      id: '$ban',
      type: 'm.room.member',
      stateKey: '@bob:b.org',
      content: { membership: 'ban' },
      prev: ['$@bob:b.org'],
      auth: ['$ann', '$levels', '$@bob:b.org'],
    });
    // Cites the join that the ban ended.
    room.add({
      id: '$late',
      type: 'm.room.message',
      stateKey: null,
      sender: '@bob:b.org',
      prev: ['$ban'],
      auth: ['$levels', '$@bob:b.org'],
    });
    room.add({ id: '$kick', type: 'org.example', sender: '@eve:e.org', prev: ['$ban'], auth: ['$levels'] });
    room.add({ id: '$after', type: 'org.example', prev: ['$kick'], auth: ['$ann', '$levels'] });
    const { state, rejected, forwardExtremities } = apply(room);
    const own = version === '10' || version === '11' ? '5' : '6';
    expect(rejected.map(({ eventId, against }) => [eventId, against])).toEqual(
      expect.arrayContaining([
        ['$late', 'state_before'],
        ['$kick', 'auth_events'],
      ]),
    );
    expect(rejected).toHaveLength(2);
    expect(rejected.find(({ eventId }) => eventId === '$kick')).toMatchObject({ rule: own });
    expect(eventAt(state, 'org.example')).toBe('$after');
    // $ban is not an extremity: an accepted event descends from it, past a rejected one.
    expect(forwardExtremities).toEqual(['$after']);
  });

  test('an event that cites a rejected one is rejected', () => {
    const room = new RoomFile(version);
    room.add({ id: '$bad', type: 'm.room.join_rules', sender: '@eve:e.org', prev: ['$rules'], auth: ['$levels'] });
    room.add({
      id: '$bob',
      type: 'm.room.member',
      stateKey: '@bob:b.org',
      sender: '@bob:b.org',
      content: { membership: 'join' },
      prev: ['$bad'],
      auth: ['$levels', '$bad'],
    });
    const found = checkAuthOfAll(room.events(), room.rules);
    expect(found.slice(0, 4).every(({ allowed, rule, reason }) => allowed && rule === null && reason === null)).toBe(
      true,
    );
    const cited = version === '12' ? '3.3' : '2.3';
    expect(found.at(-1)).toMatchObject({ event_id: '$bob', allowed: false, rule: cited });
    expect(found.at(-1)?.reason).toContain('$bad');
  });

  test('auth events that are not given, are no state or are doubled reject', () => {
    const room = new RoomFile(version);
    const [missing, stray, twice] = version === '12' ? ['3', '3.2', '3.1'] : ['2', '2.2', '2.1'];
    room.add({
      id: '$message',
      type: 'm.room.power_levels',
      stateKey: null,
      prev: ['$rules'],
      auth: ['$ann', '$levels'],
    });
    room.add({ id: '$1', prev: ['$rules'], auth: ['$ann', '$nowhere'] });
    room.add({ id: '$2', prev: ['$rules'], auth: ['$ann', '$message'] });
    room.add({ id: '$3', prev: ['$rules'], auth: ['$ann', '$levels', '$ann'] });
    const found = new Map(checkAuthOfAll(room.events(), room.rules).map(({ event_id, rule }) => [event_id, rule]));
    expect([found.get('$1'), found.get('$2'), found.get('$3')]).toEqual([missing, stray, twice]);
  });

  test('circles are told, however long, wherever they are', () => {
    const events = (circle: (room: RoomFile) => void) => {
      const room = new RoomFile(version);
      circle(room);
      return { events: room.events(), rules: room.rules };
    };
    const self = events((room) => room.topic('$self', ['$self']));
    expect(() => applyEvents(self.events, self)).toThrow(EventCycleError);
    const byAuth = events((room) => {
      room.add({ id: '$x', type: 'm.room.member', prev: ['$rules'], auth: ['$y'] });
      room.add({ id: '$y', type: 'm.room.member', prev: ['$rules'], auth: ['$x'] });
      room.topic('$after', ['$x']);
    });
    expect(() => checkAuthOfAll(byAuth.events, byAuth.rules)).toThrow(/\$x → \$y → \$x|\$y → \$x → \$y/);
    const states = [
      { file: 'a.json', eventIds: ['$create'] },
      { file: 'b.json', eventIds: ['$create', '$ann'] },
    ];
    expect(() => resolveGivenStates(states, byAuth.events, { rules: byAuth.rules, trace: false })).toThrow(
      EventCycleError,
    );
    const long = events((room) => {
      for (let index = 0; index < 20_000; index += 1) room.topic(`$${index}`, [`$${(index + 1) % 20_000}`]);
    });
    const error = bounded(() => {
      try {
        applyEvents(long.events, long);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    });
    expect(error).toBeInstanceOf(EventCycleError);
    expect((error as EventCycleError).eventIds).toHaveLength(20_000);
    expect((error as EventCycleError).message.length).toBeLessThan(1000);
  });

  test('a thousand forks meet in one event in bounded time', () => {
    const room = new RoomFile(version);
    const forks = Array.from({ length: 1000 }, (_, fork) =>
      fork % 2 === 0 ? room.join(`@u${fork}:b.org`, ['$rules']) : room.topic(`$topic${fork}`, ['$rules']),
    );
    room.topic('$last', forks);
    const { state, forwardExtremities } = bounded(() => apply(room));
    expect(state).toHaveLength(4 + 500 + 1);
    expect(eventAt(state, 'm.room.topic')).toBe('$last');
    expect(forwardExtremities).toEqual(['$last']);
    room.pdus.pop();
    expect(bounded(() => apply(room)).state).toHaveLength(4 + 500 + 1);
  });
});

describe.each(['1', '11', '12'])('in room version %s', (version) => {
  test('an auth chain of 100,000 events and a fork at its ends are walked without recursion', () => {
    const room = new RoomFile(version);
    const content = room.pdus[2]?.content as { users: { [user: string]: number } };
    let last = '$levels';
    for (let index = 0; index < 100_000; index += 1) {
      last = room.add({ id: `$l${index}`, type: 'm.room.power_levels', content, prev: [last], auth: ['$ann', last] });
    }
    room.join('@bob:b.org', ['$rules']);
    const { state, rejected } = bounded(() => apply(room));
    expect(rejected).toEqual([]);
    expect(eventAt(state, 'm.room.power_levels')).toBe(last);
    expect(eventAt(state, 'm.room.member', '@bob:b.org')).toBe('$@bob:b.org');
    expect(bounded(() => checkAuthOfAll(room.events(), room.rules)).every(({ allowed }) => allowed)).toBe(true);
  });
});

test('forks beyond what can be resolved are told, before memory runs out', () => {
  const room = new RoomFile('11');
  for (let fork = 0; fork < 10_000; fork += 1) room.join(`@u${fork}:b.org`, ['$rules']);
  expect(() => bounded(() => apply(room))).toThrow(TooManyForksError);
});

test('the order of the input does not matter', () => {
  const room = new RoomFile('11');
  for (let fork = 0; fork < 4; fork += 1) {
    room.join(`@u${fork}:b.org`, ['$rules']);
    room.topic(`$topic${fork}`, [`$@u${fork}:b.org`, `$@u${(fork * 3) % 4}:b.org`]);
  }
  const expected = JSON.stringify([apply(room).state, checkAuthOfAll(room.events(), room.rules)]);
  fc.assert(
    fc.property(fc.shuffledSubarray(room.pdus, { minLength: room.pdus.length }), (pdus) => {
      const shuffled = new RoomFile('11');
      shuffled.pdus.splice(0, shuffled.pdus.length, ...pdus);
      const state = sortedBySlot(apply(shuffled).state);
      expect(JSON.stringify([state, checkAuthOfAll(shuffled.events(), room.rules)])).toBe(
        JSON.stringify([sortedBySlot(apply(room).state), JSON.parse(expected)[1]]),
      );
    }),
    { numRuns: 50 },
  );
});

function sortedBySlot(state: AppliedEvents['state']): AppliedEvents['state'] {
  return state.toSorted((a, b) => (a.type + a.stateKey < b.type + b.stateKey ? -1 : 1));
}

test('events that are not given leave a gap, not a hole', () => {
  const room = new RoomFile('11');
  room.join('@bob:b.org', ['$rules', '$gone']);
  room.topic('$topic', ['$gone too']);
  const { state, gaps, rejected } = apply(room);
  expect([gaps, rejected]).toEqual([2, []]);
  expect(eventAt(state, 'm.room.topic')).toBe('$topic');
  expect(eventAt(state, 'm.room.member', '@bob:b.org')).toBe('$@bob:b.org');
});

test('names that objects have by birth are names like any other', () => {
  const room = new RoomFile('11');
  room.add({ id: '$p', type: '__proto__', stateKey: 'constructor', prev: ['$rules'], auth: ['$ann', '$levels'] });
  room.add({ id: '__proto__', type: 'toString', stateKey: '__proto__', prev: ['$p'], auth: ['$ann', '$levels'] });
  const { state } = apply(room);
  expect(eventAt(state, '__proto__', 'constructor')).toBe('$p');
  expect(eventAt(state, 'toString', '__proto__')).toBe('__proto__');
});

test('what is of another room is not applied, and vouches for nothing', () => {
  const room = new RoomFile('11');
  room.join('@bob:b.org', ['$rules']);
  room.pdus.push({ ...room.pdus[1], event_id: '$foreign', room_id: '!other:a.org' });
  room.add({ id: '$topic', prev: ['$rules'], auth: ['$foreign', '$levels'] });
  const { state, events, rejected } = apply(room);
  expect(events).toBe(6);
  expect(rejected).toMatchObject([{ eventId: '$topic', rule: '2.5' }]);
  expect(state).toHaveLength(5);
});
