import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from '../room-version.ts';
import {
  AuthChainCycleError,
  AuthChainTooLargeError,
  differenceOf,
  plainAuthGraph,
  resolveDifference,
  resolveStates,
} from './index.ts';
import { ANN, BOB, CREATE_ID, type EventSpec, TestRoom } from './room.test-support.ts';

const ALL_RULES = SUPPORTED_ROOM_VERSIONS.flatMap((version) => roomVersionRules(version) ?? []);
const V1 = ALL_RULES[0] as RoomVersionRules;
const V11 = ALL_RULES[10] as RoomVersionRules;
const V12 = ALL_RULES[11] as RoomVersionRules;

function idsOf(state: readonly { readonly eventId: string }[]): string[] {
  return state.map(({ eventId }) => eventId).sort();
}

describe.each(ALL_RULES)('in room version $version', (rules) => {
  test('states that agree resolve to what they are, and so does one alone and none', () => {
    const room = new TestRoom(rules);
    const usual = room.addUsual();
    const state = room.state(...usual);
    for (const states of [[state], [state, state], [state, state, state]]) {
      const { state: resolved, changes } = resolveStates(states, room.context());
      expect(idsOf(resolved)).toEqual([...usual].sort());
      expect(changes).toEqual([]);
    }
    expect(resolveStates([], room.context()).state).toEqual([]);
  });

  test('a ban wins over what the banned one did meanwhile', () => {
    const room = new TestRoom(rules);
    const usual = room.addUsual();
    room.add({
      id: '$ban',
      type: 'm.room.member',
      stateKey: BOB,
      content: { membership: 'ban' },
      auth: ['$ann', '$levels', '$bob'],
      at: 20,
      depth: 5,
    });
    room.add({
      id: '$topic',
      type: 'm.room.topic',
      sender: BOB,
      content: { topic: 'mine' },
      auth: ['$levels', '$bob'],
      at: 10,
      depth: 5,
    });
    const banned = room.state(CREATE_ID, '$ann', '$levels', '$rules', '$ban');
    const { state, changes } = resolveStates([banned, room.state(...usual, '$topic')], room.context());
    const expected = [CREATE_ID, '$ann', '$ban', '$levels', '$rules'];
    // Room version 1 takes an event that only one of the states has as it is.
    const isByDepth = rules.stateResolution.algorithm === 'by_depth';
    expect(idsOf(state)).toEqual((isByDepth ? [...expected, '$topic'] : expected).sort());
    expect(changes.find(({ type }) => type === 'm.room.member')).toMatchObject({
      stateKey: BOB,
      eventId: '$ban',
      candidates: ['$ban', '$bob'],
    });
    for (const { reason } of changes) expect(reason).toMatch(/^.{10,}\.$/);
  });

  test('a trace tells of each event that was looked at what the rules said', () => {
    const room = new TestRoom(rules);
    const usual = room.addUsual();
    const auth = ['$levels', '$bob'];
    room.add({ id: '$one', type: 'm.room.name', sender: BOB, content: { name: '1' }, auth, at: 1, depth: 1 });
    room.add({ id: '$two', type: 'm.room.name', sender: BOB, content: { name: '2' }, auth, at: 2, depth: 2 });
    const states = [room.state(...usual, '$one'), room.state(...usual, '$two')];
    expect(resolveStates(states, room.context()).steps).toEqual([]);
    const { steps, state } = resolveStates(states, room.context(true));
    expect(idsOf(state)).toContain('$two');
    expect(steps.at(-1)).toMatchObject({ eventId: '$two', verdict: { allowed: true } });
  });
});

test('in room version 12 events on the way between conflicted ones are tried again', () => {
  const idsIn = (rules: RoomVersionRules) => {
    const room = new TestRoom(rules);
    room.addUsual();
    room.add({
      id: '$between',
      type: 'm.room.power_levels',
      content: { users: { [BOB]: 60 } },
      auth: ['$levels', '$ann'],
    });
    const graph = plainAuthGraph(room.lookup, rules);
    return [...graph.conflictedSubgraph(new Set(['$levels', '$between', '$rules', CREATE_ID]))].sort();
  };
  expect(idsIn(V12)).toEqual(['$ann', '$between', CREATE_ID, '$levels', '$rules'].sort());
});

test('the difference of auth chains counts the states’ own events and leaves out what all share', () => {
  const room = new TestRoom(V11);
  room.addUsual();
  const graph = plainAuthGraph(room.lookup, V11);
  const shared = { get: () => undefined, eventIds: () => ['$ann'] };
  expect([...graph.authChainDifference([['$rules'], ['$levels']], shared)]).toEqual(['$rules']);
  expect([...graph.authChainDifference([['$rules'], []], shared)].sort()).toEqual(['$levels', '$rules']);
  expect([...graph.authChainDifference([['$unknown'], []], shared)]).toEqual([]);
});

test('events that are not known are passed over', () => {
  for (const rules of ALL_RULES) {
    const room = new TestRoom(rules);
    const usual = room.state(...room.addUsual());
    const strange = { type: 'm.room.topic', stateKey: '', eventId: '$nobody-knows' };
    expect(idsOf(resolveStates([usual, [...usual, strange]], room.context()).state)).toEqual(
      // In room version 1 what only one of the states has is not looked at.
      idsOf(usual),
    );
  }
});

test('circles of auth events are told, not walked', () => {
  const room = new TestRoom(V11);
  const usual = room.addUsual();
  room.add({ id: '$a', type: 'm.room.power_levels', content: {}, auth: ['$ann', '$b'] });
  room.add({ id: '$b', type: 'm.room.power_levels', content: {}, auth: ['$ann', '$a'] });
  const others = usual.filter((id) => id !== '$levels');
  const resolve = () => resolveStates([room.state(...others, '$a'), room.state(...others, '$b')], room.context());
  expect(resolve).toThrow(AuthChainCycleError);
  const withoutWalk = { authChainDifference: () => [], conflictedSubgraph: () => [] };
  const difference = differenceOf([room.state(...others, '$a'), room.state(...others, '$b')]);
  expect(() => resolveDifference(difference, { ...room.context(), graph: withoutWalk })).toThrow(AuthChainCycleError);
  // As power levels that nothing in the full conflicted set holds together.
  room.add({ id: '$topic', type: 'm.room.topic', content: {}, auth: ['$ann', '$a'] });
  room.add({ id: '$name', type: 'm.room.name', content: {}, auth: ['$ann', '$levels'] });
  const mainline = differenceOf([room.state(...usual), room.state(...usual, '$topic', '$name')]);
  expect(() => resolveDifference(mainline, { ...room.context(), graph: withoutWalk })).toThrow(AuthChainCycleError);
});

/** Any room: events whose auth events are any earlier ones. */
const anyRoom = fc
  .record({
    version: fc.constantFrom(...SUPPORTED_ROOM_VERSIONS),
    events: fc.array(
      fc.record({
        slot: fc.constantFrom<Pick<EventSpec, 'type' | 'stateKey'>>(
          { type: 'm.room.power_levels' },
          { type: 'm.room.join_rules' },
          { type: 'm.room.topic' },
          { type: 'm.room.member', stateKey: ANN },
          { type: 'm.room.member', stateKey: BOB },
        ),
        sender: fc.constantFrom(ANN, BOB),
        membership: fc.constantFrom('join', 'leave', 'ban', 'invite'),
        joinRule: fc.constantFrom('public', 'invite'),
        level: fc.integer({ min: 0, max: 101 }),
        auth: fc.array(fc.nat(), { maxLength: 3 }),
        at: fc.nat(5),
        depth: fc.nat(5),
        rejected: fc.boolean(),
      }),
      { minLength: 2, maxLength: 14 },
    ),
    states: fc.array(fc.array(fc.nat(), { maxLength: 8 }), { minLength: 2, maxLength: 4 }),
  })
  .map(({ version, events, states }) => {
    const room = new TestRoom(roomVersionRules(version) as RoomVersionRules);
    const ids = [...room.addUsual()];
    for (const [index, { slot, sender, membership, joinRule, level, auth, at, depth, rejected }] of events.entries()) {
      const id = `$e${index}`;
      const content = { membership, join_rule: joinRule, users: { [BOB]: level, [ANN]: 100 } };
      const named = [...new Set(auth.map((nat) => ids[nat % ids.length] as string))];
      room.add({ id, ...slot, sender, content, auth: named, at, depth, rejected: rejected && index % 4 === 0 });
      ids.push(id);
    }
    const entries = states.map((state) => {
      const bySlot = new Map(
        [CREATE_ID, ...state.map((nat) => ids[nat % ids.length] as string)].map((id) => {
          const [entry] = room.state(id);
          return [JSON.stringify([entry?.type, entry?.stateKey]), entry];
        }),
      );
      return [...bySlot.values()].filter((entry) => entry !== undefined);
    });
    return { room, states: entries };
  });

describe('for any room', () => {
  test('the order of the states and of what is in them does not matter', () => {
    fc.assert(
      fc.property(anyRoom, fc.infiniteStream(fc.nat()), ({ room, states }, random) => {
        const expected = idsOf(resolveStates(states, room.context()).state);
        const shuffled = shuffle(
          states.map((state) => shuffle(state, random)),
          random,
        );
        expect(idsOf(resolveStates(shuffled, room.context()).state)).toEqual(expected);
        const twice = [...states, states[0] ?? []];
        expect(idsOf(resolveStates(twice, room.context()).state)).toEqual(expected);
      }),
      { numRuns: 120 },
    );
  });

  test('what came out resolves with itself to itself, and has one event for a key', () => {
    fc.assert(
      fc.property(anyRoom, ({ room, states }) => {
        const { state } = resolveStates(states, room.context());
        expect(resolveStates([state, state], room.context()).state).toEqual(state);
        const keys = state.map(({ type, stateKey }) => JSON.stringify([type, stateKey]));
        expect(new Set(keys).size).toBe(keys.length);
        for (const { type, stateKey, eventId } of state) {
          expect(room.lookup(eventId)).toMatchObject({ type, stateKey });
        }
      }),
      { numRuns: 120 },
    );
  });

  test('what all states share stays', () => {
    fc.assert(
      fc.property(anyRoom, ({ room, states }) => {
        const { shared } = differenceOf(states);
        const resolved = idsOf(resolveStates(states, room.context()).state);
        for (const eventId of shared.eventIds()) expect(resolved).toContain(eventId);
      }),
      { numRuns: 80 },
    );
  });
});

function shuffle<Item>(items: readonly Item[], random: Iterator<number>): Item[] {
  return items
    .map((item) => ({ item, at: random.next().value as number }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

test('a thousand forks are resolved in bounded time', () => {
  for (const rules of [V1, V11, V12]) {
    const room = new TestRoom(rules);
    const usual = room.addUsual();
    const states = Array.from({ length: 1000 }, (_, fork) => {
      room.add({
        id: `$fork${fork}`,
        type: fork % 2 === 0 ? 'm.room.topic' : 'm.room.power_levels',
        content: fork % 2 === 0 ? { topic: `${fork}` } : { users: { [BOB]: 50, [ANN]: 100 } },
        auth: ['$ann', '$levels'],
        at: fork,
        depth: fork,
      });
      const rest = fork % 2 === 0 ? usual : usual.filter((id) => id !== '$levels');
      return room.state(...rest, `$fork${fork}`);
    });
    const started = performance.now();
    resolveStates(states, room.context());
    expect(performance.now() - started).toBeLessThan(10_000);
  }
});

test('an auth chain of 100,000 events is walked without recursion', () => {
  const length = 100_000;
  for (const rules of [V11, V12]) {
    const room = new TestRoom(rules);
    const usual = room.addUsual().filter((id) => id !== '$levels');
    let last = '$levels';
    const content = rules === V12 ? {} : { users: { [ANN]: 100 } };
    for (let index = 0; index < length; index += 1) {
      const id = `$l${index}`;
      room.add({ id, type: 'm.room.power_levels', content, auth: ['$ann', last], at: index, depth: index });
      last = id;
    }
    const started = performance.now();
    const states = [room.state(...usual, '$levels'), room.state(...usual, last)];
    expect(idsOf(resolveStates(states, room.context()).state)).toContain(last);
    expect(performance.now() - started).toBeLessThan(20_000);
  }
});

test('the mainline is walked no further than to where the forks part', () => {
  const room = new TestRoom(V11);
  const usual = room.addUsual().filter((id) => id !== '$levels');
  const chain = ['$levels'];
  for (let index = 0; index < 20_000; index += 1) {
    const content = { users: { [ANN]: 100 } };
    const auth = ['$ann', chain.at(-1) as string];
    chain.push(room.add({ id: `$l${index}`, type: 'm.room.power_levels', content, auth, at: index }).eventId);
  }
  const [older, latest] = chain.slice(-2) as [string, string];
  room.add({ id: '$topic', type: 'm.room.topic', auth: ['$ann', older], at: 2 });
  room.add({ id: '$name', type: 'm.room.name', auth: ['$ann', latest], at: 1 });
  let lookups = 0;
  const event = (eventId: string) => {
    lookups += 1;
    return room.lookup(eventId);
  };
  const graph = { authChainDifference: () => [], conflictedSubgraph: () => [] };
  const states = [room.state(...usual, latest), room.state(...usual, latest, '$topic', '$name')];
  const { steps } = resolveStates(states, { rules: V11, event, graph, trace: true });
  expect(steps.map(({ eventId }) => eventId)).toEqual(['$topic', '$name']);
  expect(lookups).toBeLessThan(100);
});

test('a lookup that always knows one more event is not followed for ever', () => {
  const levels = new TestRoom(V11).add({ id: '$0', type: 'm.room.power_levels' });
  const endless = (eventId: string) => ({ ...levels, eventId, authEventIds: [`$${Number(eventId.slice(1)) + 1}`] });
  const graph = plainAuthGraph(endless, V11);
  expect(() => graph.conflictedSubgraph(new Set(['$0']))).toThrow(AuthChainTooLargeError);
});
