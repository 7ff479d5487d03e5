import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalObject, canonicalValue, unicodeText } from '../arbitraries.test-support.ts';
import type { JsonObject } from '../pdu.ts';
import { checkAuth } from './check-auth.ts';
import {
  ADMIN,
  ALICE,
  BANNED,
  BOB,
  BOTH,
  CREATOR,
  type EventSpec,
  expectVerdict,
  judge,
  MOD,
  type RoomSpec,
  V11,
  V12,
} from './room.test-support.ts';
import { RULE_NUMBERS_V11, RULE_NUMBERS_V12 } from './rule-numbers.ts';
import type { AuthInput } from './types.ts';

const NOTHING = () => undefined;

describe('the create event', () => {
  const create = (changes: Partial<AuthInput> = {}, content: JsonObject = {}): AuthInput => ({
    type: 'm.room.create',
    sender: CREATOR,
    state_key: '',
    content,
    prev_events: [],
    ...changes,
  });
  const v11 = (changes: Partial<AuthInput> = {}, content: JsonObject = {}) =>
    checkAuth(create({ room_id: '!room:a.org', ...changes }, content), NOTHING, V11);
  const v12 = (changes: Partial<AuthInput> = {}, content: JsonObject = {}) =>
    checkAuth(create(changes, content), NOTHING, V12);

  test('is allowed as it should be', () => {
    expect(v11()).toEqual({ allowed: true });
    expect(v12()).toEqual({ allowed: true });
    expect(v11({}, { room_version: '11' })).toEqual({ allowed: true });
    expect(v12({}, { room_version: '12', additional_creators: [] })).toEqual({ allowed: true });
    expect(v12({}, { additional_creators: [ALICE, '@Älice:b.org'] })).toEqual({ allowed: true });
  });

  test('follows nothing', () => {
    expect(v11({ prev_events: ['$e'] })).toMatchObject({ rule: '1.1' });
    expect(v12({ prev_events: ['$e'] })).toMatchObject({ rule: '1.1' });
  });

  test('in version 11 names a room of its sender’s server', () => {
    expect(v11({ room_id: '!room:b.org' })).toMatchObject({ rule: '1.2' });
    expect(v11({ room_id: '!room' })).toMatchObject({ rule: '1.2' });
    expect(v11({ room_id: undefined } as unknown as Partial<AuthInput>)).toMatchObject({ rule: '1.2' });
  });

  test('in version 12 names no room', () => {
    expect(v12({ room_id: '!room:a.org' })).toMatchObject({ rule: '1.2' });
  });

  test('is of a room version that is known', () => {
    for (const room_version of ['nope', 12, null, 'constructor', '']) {
      expect(v11({}, { room_version })).toMatchObject({ rule: '1.3' });
      expect(v12({}, { room_version })).toMatchObject({ rule: '1.3' });
    }
  });

  test('in version 12 adds creators by user id only', () => {
    for (const additional_creators of ['@a:b', {}, [5], ['alice'], ['@alice'], [ALICE, '@:'], [null], null, 5]) {
      expect(v12({}, { additional_creators })).toMatchObject({ rule: '1.4' });
      expect(v11({}, { additional_creators })).toEqual({ allowed: true });
    }
  });
});

type Case = [what: string, room: RoomSpec, event: EventSpec, rule: string];

const CASES: Case[] = [
  ['a message of a member', {}, { type: 'm.room.message', sender: ALICE }, 'allow'],
  ['a message from outside', {}, { type: 'm.room.message', sender: BOB }, '5'],
  ['a message of who is banned', {}, { type: 'm.room.message', sender: BANNED }, '5'],
  ['a message of who is invited', { members: { [BOB]: 'invite' } }, { type: 'm.room.message', sender: BOB }, '5'],
  ['a message without the power', { levels: { events_default: 1 } }, { type: 'm.room.message', sender: ALICE }, '7'],
  ['a message type without the power', { levels: { events: { x: 1 } } }, { type: 'x', sender: ALICE }, '7'],
  [
    'a message type that is free',
    { levels: { events: { x: 0 }, events_default: 1 } },
    { type: 'x', sender: ALICE },
    'allow',
  ],
  ['a message type called constructor', {}, { type: 'constructor', sender: ALICE }, 'allow'],
  ['state without the power', {}, { type: 'm.room.name', sender: ALICE, state_key: '' }, '7'],
  ['state with the power', {}, { type: 'm.room.name', sender: MOD, state_key: '' }, 'allow'],
  ['state under one’s own id', {}, { type: 'x', sender: MOD, state_key: MOD }, 'allow'],
  ['state under another’s id', {}, { type: 'x', sender: MOD, state_key: ALICE }, '8'],
  ['state under what looks like an id', {}, { type: 'x', sender: MOD, state_key: '@' }, '8'],
  ['state under a key with an id in it', {}, { type: 'x', sender: MOD, state_key: `_${ALICE}` }, 'allow'],
  ['a pending invite', {}, { type: 'm.room.third_party_invite', sender: MOD, state_key: 'tok' }, 'allow'],
  [
    'a pending invite without the power',
    {},
    { type: 'm.room.third_party_invite', sender: ALICE, state_key: 'tok' },
    '6.1',
  ],
  [
    'a pending invite takes no power over state',
    { levels: {} },
    { type: 'm.room.third_party_invite', sender: ALICE, state_key: 'tok' },
    'allow',
  ],
  ['a pending invite from outside', {}, { type: 'm.room.third_party_invite', sender: BOB, state_key: 'tok' }, '5'],
  ['a redaction by anybody', {}, { type: 'm.room.redaction', sender: ALICE, content: { redacts: '$e' } }, 'allow'],
  ['aliases under another server', {}, { type: 'm.room.aliases', sender: MOD, state_key: 'b.org' }, 'allow'],
  ['state where there are no levels', { levels: null }, { type: 'm.room.name', sender: ALICE, state_key: '' }, '7'],
  [
    'state by the creator where there are no levels',
    { levels: null },
    { type: 'm.room.name', sender: CREATOR, state_key: '' },
    'allow',
  ],
  [
    'a message of another server in a closed room',
    { create: { 'm.federate': false }, members: { [BOB]: 'join' } },
    { type: 'm.room.message', sender: BOB },
    '3',
  ],
  [
    'a message of the server of a closed room',
    { create: { 'm.federate': false } },
    { type: 'm.room.message', sender: ALICE },
    'allow',
  ],
  [
    'a join of another server in a closed room',
    { create: { 'm.federate': false }, joinRule: 'public' },
    { type: 'm.room.member', sender: BOB, state_key: BOB, content: { membership: 'join' } },
    '3',
  ],
  [
    'a message in a room that says it is open',
    { create: { 'm.federate': true }, members: { [BOB]: 'join' } },
    { type: 'm.room.message', sender: BOB },
    'allow',
  ],
  [
    'a message where m.federate is no boolean',
    { create: { 'm.federate': 'false' }, members: { [BOB]: 'join' } },
    { type: 'm.room.message', sender: BOB },
    '3',
  ],
  [
    'an invite of somebody on another server in a closed room',
    { create: { 'm.federate': false } },
    { type: 'm.room.member', sender: ADMIN, state_key: BOB, content: { membership: 'invite' } },
    '3',
  ],
];

describe.each(BOTH)('in room version $version', (rules) => {
  test.each(CASES)('%s', (_what, room, event, rule) => {
    expectVerdict(rules, judge(rules, room, event), rule);
  });

  test('nothing is allowed where the create event is not known', () => {
    const event = { type: 'm.room.message', sender: ALICE, content: {}, prev_events: [], room_id: '!r:a.org' };
    const verdict = checkAuth(event, NOTHING, rules);
    expect(verdict).toMatchObject({ allowed: false, rule: rules === V11 ? '2.4' : '2' });
  });

  test('a reason says what is missing', () => {
    expect(judge(rules, {}, { type: 'm.room.name', sender: ALICE, state_key: '' })).toMatchObject({
      reason: '@alice:a.org has power 0; sending m.room.name takes 50.',
    });
  });
});

test('in version 12 the room id has to name the create event', () => {
  const event: EventSpec = { type: 'm.room.message', sender: ALICE };
  expect(judge(V12, {}, { ...event, room_id: `!${'D'.repeat(43)}` })).toMatchObject({ rule: '2' });
  expect(judge(V12, {}, { ...event, room_id: undefined } as unknown as EventSpec)).toMatchObject({ rule: '2' });
  expect(judge(V11, {}, { ...event, room_id: '!other:a.org' })).toEqual({ allowed: true });
});

test('in version 12 creators have power over everything whatever the levels say', () => {
  const room: RoomSpec = {
    create: { additional_creators: [ALICE] },
    levels: { state_default: 1_000_000, events_default: 1_000_000 },
  };
  for (const sender of [CREATOR, ALICE]) {
    expect(judge(V12, room, { type: 'm.room.name', sender, state_key: '' })).toEqual({ allowed: true });
    expect(judge(V11, room, { type: 'm.room.name', sender, state_key: '' })).toMatchObject({ rule: '7' });
  }
  expect(judge(V12, room, { type: 'm.room.message', sender: ADMIN })).toMatchObject({ rule: '8' });
});

test('every rule of a version has a number of its own', () => {
  for (const numbers of [RULE_NUMBERS_V11, RULE_NUMBERS_V12]) {
    const given = Object.values(numbers).filter((number) => number !== '');
    expect(new Set(given).size).toBe(given.length);
  }
});

test('whatever events and state hold, there is a verdict with a reason and never an exception', () => {
  const types = [
    'm.room.create',
    'm.room.member',
    'm.room.power_levels',
    'm.room.third_party_invite',
    'm.room.message',
  ];
  const membership = fc.constantFrom('join', 'invite', 'leave', 'ban', 'knock');
  const content = fc
    .tuple(canonicalObject, fc.record({ membership }, { requiredKeys: [] }))
    .map(([any, own]) => ({ ...any, ...own }));
  const levels = fc.record(
    {
      users: canonicalValue,
      events: canonicalValue,
      notifications: canonicalValue,
      ban: canonicalValue,
      invite: fc.nat(100),
    },
    { requiredKeys: [] },
  );
  const thirdParty = fc.record({ membership, third_party_invite: canonicalValue });
  const user = fc.constantFrom(CREATOR, ADMIN, MOD, ALICE, BOB, BANNED, '@x', '');
  fc.assert(
    fc.property(
      fc.record({
        type: fc.constantFrom(...types),
        sender: user,
        state_key: user,
        content: fc.oneof(content, levels, thirdParty),
      }),
      fc.record({ create: canonicalObject, joinRule: unicodeText, levels: fc.oneof(levels, canonicalObject) }),
      fc.constantFrom(...BOTH),
      (event, room, rules) => {
        const verdict = judge(rules, room, event);
        if (!verdict.allowed) expect([verdict.rule, verdict.reason]).not.toContain('');
      },
    ),
    { numRuns: 1000 },
  );
});
