import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../pdu.ts';
import {
  ADMIN,
  ALICE,
  BANNED,
  BOB,
  BOTH,
  CREATE_EVENT_ID,
  CREATOR,
  expectVerdict,
  judge,
  MOD,
  type RoomSpec,
  V11,
  V12,
} from './room.test-support.ts';
import type { AuthInput } from './types.ts';

/** What is tried, in which room, by whom, on whom, and the rule of version 11 that decides (or `allow`). */
type Case = [what: string, room: RoomSpec, sender: string, target: string, content: JsonObject, rule: string];

function judgeMember(rules: (typeof BOTH)[number], [, room, sender, target, content]: Case, more?: Partial<AuthInput>) {
  return judge(rules, room, { type: 'm.room.member', sender, state_key: target, content, ...more });
}

const JOIN = { membership: 'join' };
const VOUCHED = (voucher: string) => ({ membership: 'join', join_authorised_via_users_server: voucher });

const JOINS: Case[] = [
  ['a public room', { joinRule: 'public' }, BOB, BOB, JOIN, 'allow'],
  ['a public room again', { joinRule: 'public' }, ALICE, ALICE, JOIN, 'allow'],
  ['for somebody else', { joinRule: 'public' }, ALICE, BOB, JOIN, '4.3.2'],
  ['a public room when banned', { joinRule: 'public' }, BANNED, BANNED, JOIN, '4.3.3'],
  ['an invite-only room uninvited', { joinRule: 'invite' }, BOB, BOB, JOIN, '4.3.7'],
  ['an invite-only room when invited', { joinRule: 'invite', members: { [BOB]: 'invite' } }, BOB, BOB, JOIN, 'allow'],
  ['an invite-only room when joined', { joinRule: 'invite' }, ALICE, ALICE, JOIN, 'allow'],
  ['a room without join rules uninvited', {}, BOB, BOB, JOIN, '4.3.7'],
  ['a room without join rules when invited', { members: { [BOB]: 'invite' } }, BOB, BOB, JOIN, 'allow'],
  ['an invite-only room after knocking', { joinRule: 'invite', members: { [BOB]: 'knock' } }, BOB, BOB, JOIN, '4.3.7'],
  ['a knocking room uninvited', { joinRule: 'knock', members: { [BOB]: 'knock' } }, BOB, BOB, JOIN, '4.3.7'],
  ['a knocking room when invited', { joinRule: 'knock', members: { [BOB]: 'invite' } }, BOB, BOB, JOIN, 'allow'],
  ['a private room when invited', { joinRule: 'private', members: { [BOB]: 'invite' } }, BOB, BOB, JOIN, '4.3.7'],
  ['a room with a join rule nobody knows', { joinRule: 'constructor' }, BOB, BOB, JOIN, '4.3.7'],
  ['a restricted room when invited', { joinRule: 'restricted', members: { [BOB]: 'invite' } }, BOB, BOB, JOIN, 'allow'],
  ['a restricted room when joined', { joinRule: 'restricted' }, ALICE, ALICE, JOIN, 'allow'],
  ['a restricted room when banned', { joinRule: 'restricted' }, BANNED, BANNED, VOUCHED(ADMIN), '4.3.3'],
  ['a restricted room unvouched', { joinRule: 'restricted' }, BOB, BOB, JOIN, '4.3.5.2'],
  ['a restricted room, vouched for by who may invite', { joinRule: 'restricted' }, BOB, BOB, VOUCHED(MOD), 'allow'],
  ['a restricted room, vouched for by who may not', { joinRule: 'restricted' }, BOB, BOB, VOUCHED(ALICE), '4.3.5.2'],
  [
    'a restricted room, vouched for by who has just the power',
    { joinRule: 'restricted', levels: { invite: 10, users: { [ALICE]: 10 } } },
    BOB,
    BOB,
    VOUCHED(ALICE),
    'allow',
  ],
  [
    'a restricted room, vouched for by who left',
    { joinRule: 'restricted', members: { [MOD]: 'leave' } },
    BOB,
    BOB,
    VOUCHED(MOD),
    '4.3.5.2',
  ],
  ['a knock_restricted room unvouched', { joinRule: 'knock_restricted' }, BOB, BOB, JOIN, '4.3.5.2'],
  ['a knock_restricted room vouched for', { joinRule: 'knock_restricted' }, BOB, BOB, VOUCHED(MOD), 'allow'],
  ['vouched for by what is no user id', { joinRule: 'restricted' }, BOB, BOB, VOUCHED('admin'), '4.2.1'],
];

const INVITE = { membership: 'invite' };

const INVITES: Case[] = [
  ['a stranger', {}, MOD, BOB, INVITE, 'allow'],
  ['somebody who left', { members: { [BOB]: 'leave' } }, MOD, BOB, INVITE, 'allow'],
  ['somebody who knocked', { members: { [BOB]: 'knock' } }, MOD, BOB, INVITE, 'allow'],
  ['somebody again', { members: { [BOB]: 'invite' } }, MOD, BOB, INVITE, 'allow'],
  ['without the power', {}, ALICE, BOB, INVITE, '4.4.5'],
  ['with just the power', { levels: { invite: 10, users: { [ALICE]: 10 } } }, ALICE, BOB, INVITE, 'allow'],
  ['where everybody may', { levels: {} }, ALICE, BOB, INVITE, 'allow'],
  ['from outside', {}, BOB, '@carol:b.org', INVITE, '4.4.2'],
  ['when only invited', { members: { [BOB]: 'invite' } }, BOB, '@carol:b.org', INVITE, '4.4.2'],
  ['who is in the room', {}, MOD, ALICE, INVITE, '4.4.3'],
  ['who is banned', {}, MOD, BANNED, INVITE, '4.4.3'],
  ['oneself', { members: { [BOB]: 'leave' } }, BOB, BOB, INVITE, '4.4.2'],
];

const LEAVE = { membership: 'leave' };

const LEAVES: Case[] = [
  ['the room', {}, ALICE, ALICE, LEAVE, 'allow'],
  ['an invite behind', { members: { [BOB]: 'invite' } }, BOB, BOB, LEAVE, 'allow'],
  ['a knock behind', { members: { [BOB]: 'knock' } }, BOB, BOB, LEAVE, 'allow'],
  ['without having been there', {}, BOB, BOB, LEAVE, '4.5.1'],
  ['twice', { members: { [BOB]: 'leave' } }, BOB, BOB, LEAVE, '4.5.1'],
  ['when banned', {}, BANNED, BANNED, LEAVE, '4.5.1'],
  ['kicking from outside', {}, BOB, ALICE, LEAVE, '4.5.2'],
  ['kicking with the power', {}, MOD, ALICE, LEAVE, 'allow'],
  ['kicking without it', {}, ALICE, '@carol:a.org', LEAVE, '4.5.5'],
  ['kicking who has as much', { levels: { users: { [MOD]: 50, [ALICE]: 50 } } }, MOD, ALICE, LEAVE, '4.5.5'],
  ['kicking who has more', {}, MOD, ADMIN, LEAVE, '4.5.5'],
  ['withdrawing an invite', { members: { [BOB]: 'invite' } }, MOD, BOB, LEAVE, 'allow'],
  ['unbanning', {}, MOD, BANNED, LEAVE, 'allow'],
  ['unbanning without the power to ban', { levels: { users: { [MOD]: 50 }, ban: 60 } }, MOD, BANNED, LEAVE, '4.5.3'],
  ['unbanning without the power to kick', { levels: { users: { [MOD]: 50 }, kick: 60 } }, MOD, BANNED, LEAVE, '4.5.5'],
  ['unbanning who has more', { levels: { users: { [MOD]: 50, [BANNED]: 50 } } }, MOD, BANNED, LEAVE, '4.5.5'],
];

const BAN = { membership: 'ban' };

const BANS: Case[] = [
  ['with the power', {}, MOD, ALICE, BAN, 'allow'],
  ['a stranger', {}, MOD, BOB, BAN, 'allow'],
  ['again', {}, MOD, BANNED, BAN, 'allow'],
  ['from outside', {}, BOB, ALICE, BAN, '4.6.1'],
  ['without the power', {}, ALICE, BOB, BAN, '4.6.3'],
  ['who has as much', { levels: { users: { [MOD]: 50, [ALICE]: 50 } } }, MOD, ALICE, BAN, '4.6.3'],
  ['who has more', {}, MOD, ADMIN, BAN, '4.6.3'],
  ['oneself', {}, MOD, MOD, BAN, '4.6.3'],
];

const KNOCK = { membership: 'knock' };

const KNOCKS: Case[] = [
  ['on a knocking room', { joinRule: 'knock' }, BOB, BOB, KNOCK, 'allow'],
  ['on a knock_restricted room', { joinRule: 'knock_restricted' }, BOB, BOB, KNOCK, 'allow'],
  ['again', { joinRule: 'knock', members: { [BOB]: 'knock' } }, BOB, BOB, KNOCK, 'allow'],
  ['after leaving', { joinRule: 'knock', members: { [BOB]: 'leave' } }, BOB, BOB, KNOCK, 'allow'],
  ['on a restricted room', { joinRule: 'restricted' }, BOB, BOB, KNOCK, '4.7.1'],
  ['on a public room', { joinRule: 'public' }, BOB, BOB, KNOCK, '4.7.1'],
  ['on a room without join rules', {}, BOB, BOB, KNOCK, '4.7.1'],
  ['for somebody else', { joinRule: 'knock' }, ALICE, BOB, KNOCK, '4.7.2'],
  ['when banned', { joinRule: 'knock' }, BANNED, BANNED, KNOCK, '4.7.4'],
  ['when invited', { joinRule: 'knock', members: { [BOB]: 'invite' } }, BOB, BOB, KNOCK, '4.7.4'],
  ['when in the room', { joinRule: 'knock' }, ALICE, ALICE, KNOCK, '4.7.4'],
];

const OTHERS: Case[] = [
  ['a membership nobody knows', {}, ALICE, ALICE, { membership: 'dance' }, '4.8'],
  ['a membership that is no text', {}, ALICE, ALICE, { membership: 1 }, '4.8'],
  ['no membership', {}, ALICE, ALICE, {}, '4.1'],
];

describe.each(BOTH)('in room version $version', (rules) => {
  test.each(JOINS)('joining: %s', (...given) => expectVerdict(rules, judgeMember(rules, given), given[5]));
  test.each(INVITES)('inviting: %s', (...given) => expectVerdict(rules, judgeMember(rules, given), given[5]));
  test.each(LEAVES)('leaving: %s', (...given) => expectVerdict(rules, judgeMember(rules, given), given[5]));
  test.each(BANS)('banning: %s', (...given) => expectVerdict(rules, judgeMember(rules, given), given[5]));
  test.each(KNOCKS)('knocking: %s', (...given) => expectVerdict(rules, judgeMember(rules, given), given[5]));
  test.each(OTHERS)('%s', (...given) => expectVerdict(rules, judgeMember(rules, given), given[5]));

  test('a membership event without a state key', () => {
    expectVerdict(rules, judge(rules, {}, { type: 'm.room.member', sender: ALICE, content: JOIN }), '4.1');
  });

  test('the creator joins first, and only first', () => {
    const fresh: RoomSpec = { members: { [CREATOR]: 'leave' }, levels: null };
    const join = (sender: string, prev_events: string[]) =>
      judge(rules, fresh, { type: 'm.room.member', sender, state_key: sender, content: JOIN, prev_events });
    expectVerdict(rules, join(CREATOR, [CREATE_EVENT_ID]), 'allow');
    expectVerdict(rules, join(CREATOR, [CREATE_EVENT_ID, '$other']), '4.3.7');
    expectVerdict(rules, join(CREATOR, ['$other']), '4.3.7');
    expectVerdict(rules, join(BOB, [CREATE_EVENT_ID]), '4.3.7');
  });

  test('who vouches for a join has to have its server sign it, once the event is signed at all', () => {
    const given: Case = ['', { joinRule: 'restricted' }, BOB, BOB, VOUCHED(MOD), ''];
    const signature = { 'ed25519:a': 'x' };
    expectVerdict(rules, judgeMember(rules, given), 'allow');
    expectVerdict(rules, judgeMember(rules, given, { signatures: { 'b.org': signature } }), '4.2.1');
    expectVerdict(
      rules,
      judgeMember(rules, given, { signatures: { 'b.org': signature, 'a.org': signature } }),
      'allow',
    );
    expectVerdict(rules, judgeMember(rules, given, { signatures: 'unchecked' }), 'allow');
    const left: Case = ['', {}, ALICE, ALICE, { ...VOUCHED(MOD), membership: 'leave' }, ''];
    expectVerdict(rules, judgeMember(rules, left, { signatures: {} }), 'allow');
  });

  test('a reason names who, what and how much', () => {
    expect(judgeMember(rules, ['', {}, ALICE, BOB, INVITE, ''])).toMatchObject({
      reason: '@alice:a.org has power 0; inviting @bob:b.org takes 25.',
    });
    expect(judgeMember(rules, ['', { joinRule: 'invite' }, BOB, BOB, JOIN, ''])).toMatchObject({
      reason: '@bob:b.org cannot join: the join rule is "invite" and they are not invited.',
    });
  });

  test('a reason repeats no more of an event than a line', () => {
    const verdict = judgeMember(rules, ['', {}, ALICE, ALICE, { membership: 'x'.repeat(60_000) }, '']);
    expect(verdict.allowed ? '' : verdict.reason).toHaveLength(
      'The membership "" is not known in this room version.'.length + 101,
    );
  });
});

describe('creators', () => {
  const content = { additional_creators: [ALICE] };

  test('of version 12 can remove and ban anybody but each other', () => {
    const room: RoomSpec = { create: content, levels: { users: { [MOD]: 1_000_000 } } };
    for (const [creator, other] of [
      [CREATOR, ALICE],
      [ALICE, CREATOR],
    ] as const) {
      expectVerdict(V12, judgeMember(V12, ['', room, creator, MOD, LEAVE, '']), 'allow');
      expectVerdict(V12, judgeMember(V12, ['', room, creator, MOD, BAN, '']), 'allow');
      expectVerdict(V12, judgeMember(V12, ['', room, creator, other, LEAVE, '']), '4.5.5');
      expectVerdict(V12, judgeMember(V12, ['', room, MOD, creator, LEAVE, '']), '4.5.5');
      expectVerdict(V12, judgeMember(V12, ['', room, MOD, creator, BAN, '']), '4.6.3');
    }
  });

  test('of version 11 have what the power levels give them', () => {
    const room: RoomSpec = { create: content };
    expectVerdict(V11, judgeMember(V11, ['', room, MOD, CREATOR, LEAVE, '']), 'allow');
    expectVerdict(V11, judgeMember(V11, ['', room, CREATOR, MOD, LEAVE, '']), '4.5.5');
    expectVerdict(V11, judgeMember(V11, ['', { ...room, levels: null }, CREATOR, MOD, LEAVE, '']), 'allow');
    expectVerdict(V11, judgeMember(V11, ['', { ...room, levels: null }, ALICE, MOD, LEAVE, '']), '4.5.5');
  });
});
