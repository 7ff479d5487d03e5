import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../pdu.ts';
import { authEventTypes, checkAuthEvents, type NamedAuthEvent } from './auth-events.ts';
import { ALICE, BOB, MOD, stateEvent, V11, V12 } from './room.test-support.ts';

const ROOM_V12 = `!${'C'.repeat(43)}`;
const CREATE_ID = `$${'C'.repeat(43)}`;

describe('authEventTypes', () => {
  const POWER = ['m.room.power_levels', ''];
  const JOIN_RULES = ['m.room.join_rules', ''];
  const member = (userId: string) => ['m.room.member', userId];

  test.each<[string, { type: string; sender: string; state_key?: string; content?: JsonObject }, string[][]]>([
    ['a message', { type: 'm.room.message', sender: ALICE }, [POWER, member(ALICE)]],
    ['other state', { type: 'm.room.name', sender: ALICE, state_key: '' }, [POWER, member(ALICE)]],
    [
      'a join',
      { type: 'm.room.member', sender: BOB, state_key: BOB, content: { membership: 'join' } },
      [POWER, member(BOB), JOIN_RULES],
    ],
    [
      'a join that somebody vouches for',
      {
        type: 'm.room.member',
        sender: BOB,
        state_key: BOB,
        content: { membership: 'join', join_authorised_via_users_server: ALICE },
      },
      [POWER, member(BOB), JOIN_RULES, member(ALICE)],
    ],
    [
      'a join that one vouches for oneself',
      {
        type: 'm.room.member',
        sender: BOB,
        state_key: BOB,
        content: { membership: 'join', join_authorised_via_users_server: BOB },
      },
      [POWER, member(BOB), JOIN_RULES],
    ],
    [
      'an invite',
      { type: 'm.room.member', sender: ALICE, state_key: BOB, content: { membership: 'invite' } },
      [POWER, member(ALICE), member(BOB), JOIN_RULES],
    ],
    [
      'an invite by third-party identifier',
      {
        type: 'm.room.member',
        sender: ALICE,
        state_key: BOB,
        content: { membership: 'invite', third_party_invite: { signed: { token: 'tok' } } },
      },
      [POWER, member(ALICE), member(BOB), JOIN_RULES, ['m.room.third_party_invite', 'tok']],
    ],
    [
      'such an invite without a token',
      {
        type: 'm.room.member',
        sender: ALICE,
        state_key: BOB,
        content: { membership: 'invite', third_party_invite: { signed: 5 } },
      },
      [POWER, member(ALICE), member(BOB), JOIN_RULES],
    ],
    [
      'a knock',
      { type: 'm.room.member', sender: BOB, state_key: BOB, content: { membership: 'knock' } },
      [POWER, member(BOB), JOIN_RULES],
    ],
    [
      'a kick',
      { type: 'm.room.member', sender: ALICE, state_key: BOB, content: { membership: 'leave' } },
      [POWER, member(ALICE), member(BOB)],
    ],
    [
      'a leave with what only joins have',
      {
        type: 'm.room.member',
        sender: BOB,
        state_key: BOB,
        content: { membership: 'leave', join_authorised_via_users_server: ALICE },
      },
      [POWER, member(BOB)],
    ],
    ['a membership event without a state key', { type: 'm.room.member', sender: BOB }, [POWER, member(BOB)]],
  ])('for %s', (_what, event, expected) => {
    const pairs = (rules: typeof V11) =>
      authEventTypes({ content: {}, ...event }, rules).map(({ type, stateKey }) => [type, stateKey]);
    expect(pairs(V12)).toEqual(expected);
    expect(pairs(V11)).toEqual([['m.room.create', ''], ...expected]);
  });

  test('for the create event there are none', () => {
    const create = { type: 'm.room.create', sender: ALICE, state_key: '', content: {} };
    expect(authEventTypes(create, V11)).toEqual([]);
    expect(authEventTypes(create, V12)).toEqual([]);
  });
});

describe('checkAuthEvents', () => {
  const MESSAGE = { type: 'm.room.message', sender: ALICE, content: {} };
  const named = (type: string, stateKey: string, changes: Partial<NamedAuthEvent> = {}): NamedAuthEvent => ({
    ...stateEvent(type, stateKey, {}),
    roomId: ROOM_V12,
    rejected: false,
    ...changes,
  });
  const create = named('m.room.create', '', { eventId: CREATE_ID });
  const power = named('m.room.power_levels', '');
  const alice = named('m.room.member', ALICE);

  const v11 = (events: NamedAuthEvent[]) => checkAuthEvents(MESSAGE, ROOM_V12, events, undefined, V11);
  const v12 = (events: NamedAuthEvent[], known: NamedAuthEvent | undefined = create) =>
    checkAuthEvents(MESSAGE, ROOM_V12, events, known, V12);

  test('what is selected passes, in any order, all of it or not', () => {
    expect(v11([create, power, alice])).toEqual({ allowed: true });
    expect(v11([alice, create])).toEqual({ allowed: true });
    expect(v12([power, alice])).toEqual({ allowed: true });
    expect(v12([])).toEqual({ allowed: true });
  });

  test('two of one kind are refused', () => {
    const twin = { ...alice, eventId: '$twin' };
    expect(v11([create, alice, twin])).toMatchObject({ rule: '2.1' });
    expect(v12([alice, twin])).toMatchObject({ rule: '3.1' });
  });

  test('what is not selected is refused', () => {
    expect(v11([create, named('m.room.member', MOD)])).toMatchObject({ rule: '2.2' });
    expect(v12([named('m.room.name', '')])).toMatchObject({ rule: '3.2' });
    expect(v12([create])).toMatchObject({ rule: '3.2' });
    expect(v12([named('m.room.join_rules', '')])).toMatchObject({ rule: '3.2' });
  });

  test('what was rejected is refused', () => {
    expect(v11([create, { ...alice, rejected: true }])).toMatchObject({ rule: '2.3' });
    expect(v12([{ ...alice, rejected: true }])).toMatchObject({ rule: '3.3' });
  });

  test('version 11 needs the create event named, version 12 needs it known and not rejected', () => {
    expect(v11([power, alice])).toMatchObject({ rule: '2.4' });
    expect(checkAuthEvents(MESSAGE, ROOM_V12, [], undefined, V12)).toMatchObject({ rule: '2' });
    expect(v12([], { ...create, eventId: '$other' })).toMatchObject({ rule: '2' });
    expect(v12([], { ...create, rejected: true })).toMatchObject({ rule: '2' });
  });

  test('what is in another room is refused', () => {
    expect(v11([create, { ...alice, roomId: '!other:a.org' }])).toMatchObject({ rule: '2.5' });
    expect(v12([{ ...alice, roomId: '!other:a.org' }])).toMatchObject({ rule: '3.4' });
  });

  test('a reason names the event that is wrong', () => {
    expect(v12([{ ...alice, rejected: true }])).toMatchObject({
      reason: `Its auth_events name ${alice.eventId}, which was itself rejected.`,
    });
  });

  test('the create event itself has nothing to check here', () => {
    const event = { type: 'm.room.create', sender: ALICE, state_key: '', content: {} };
    expect(checkAuthEvents(event, ROOM_V12, [], undefined, V12)).toEqual({ allowed: true });
  });
});
