import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../pdu.ts';
import {
  ADMIN,
  ALICE,
  BOTH,
  CREATOR,
  expectVerdict,
  judge,
  MOD,
  type RoomSpec,
  USUAL_LEVELS,
  V11,
  V12,
} from './room.test-support.ts';

function change(rules: (typeof BOTH)[number], sender: string, content: JsonObject, room: RoomSpec = {}) {
  return judge(rules, room, { type: 'm.room.power_levels', sender, state_key: '', content });
}

const LEVELS: JsonObject = {
  users: { [ADMIN]: 100, [MOD]: 50, [ALICE]: 10 },
  events: { 'm.room.power_levels': 0, 'm.room.name': 60, 'm.room.topic': 50 },
  notifications: { room: 60 },
  ban: 60,
  kick: 50,
};
const ROOM: RoomSpec = { levels: LEVELS };

describe.each(BOTH)('power levels in room version $version', (rules) => {
  test.each<[string, JsonObject, string]>([
    ['nothing said', {}, 'allow'],
    ['a level that is text', { ban: '50' }, '9.1'],
    ['a level that is a fraction', { users_default: 0.5 }, '9.1'],
    ['a level that is null', { invite: null }, '9.1'],
    ['a level out of range, which is a question of form', { kick: 2 ** 53 }, 'allow'],
    ['levels of events that are a list', { events: [] }, '9.2'],
    ['a level of an event that is text', { events: { 'm.room.name': '50' } }, '9.2'],
    ['a level of notifications that is text', { notifications: { room: '50' } }, '9.2'],
    ['levels of notifications that are null', { notifications: null }, '9.2'],
    ['users that are a list', { users: [] }, '9.3'],
    ['a level of a user that is text', { users: { [MOD]: '50' } }, '9.3'],
    ['a user without a sigil', { users: { mod: 50 } }, '9.3'],
    ['a user without a server', { users: { '@mod': 50 } }, '9.3'],
    ['a user of a server that cannot be', { users: { '@mod:a b': 50 } }, 'allow'],
    ['a historical user id', { users: { '@Mod Erator:a.org': 50 } }, 'allow'],
    ['members that nobody knows', { extra: 'x' }, 'allow'],
  ])('malformed or not: %s', (_what, content, rule) => {
    expectVerdict(rules, change(rules, CREATOR, content, { levels: null }), rule);
  });

  test.each<[string, string, JsonObject, string]>([
    ['nothing', MOD, LEVELS, 'allow'],
    ['a level up to one’s own', MOD, { ...LEVELS, redact: 50 }, 'allow'],
    ['a level above one’s own', MOD, { ...LEVELS, redact: 51 }, '9.5.2'],
    ['the removal of a level', MOD, { ...LEVELS, kick: undefined }, 'allow'],
    ['the removal of a level above one’s own', MOD, { ...LEVELS, ban: undefined }, '9.5.1'],
    ['the lowering of a level above one’s own', MOD, { ...LEVELS, ban: 0 }, '9.5.1'],
    [
      'an entry as high as one’s own',
      MOD,
      { ...LEVELS, events: { 'm.room.power_levels': 0, 'm.room.name': 60 } },
      'allow',
    ],
    [
      'an added entry up to one’s own',
      MOD,
      { ...LEVELS, events: { ...(LEVELS.events as JsonObject), x: 50 } },
      'allow',
    ],
    [
      'an added entry above one’s own',
      MOD,
      { ...LEVELS, events: { ...(LEVELS.events as JsonObject), x: 51 } },
      '9.7.1',
    ],
    [
      'an entry above one’s own',
      MOD,
      { ...LEVELS, events: { ...(LEVELS.events as JsonObject), 'm.room.name': 50 } },
      '9.6.1',
    ],
    ['the removal of entries above one’s own', MOD, { ...LEVELS, events: undefined }, '9.6.1'],
    [
      'an entry called constructor',
      MOD,
      { ...LEVELS, events: { ...(LEVELS.events as JsonObject), constructor: 51 } },
      '9.7.1',
    ],
    ['a notification level above one’s own', MOD, { ...LEVELS, notifications: { room: 50 } }, '9.6.1'],
    ['a new notification level above one’s own', MOD, { ...LEVELS, notifications: { room: 60, all: 99 } }, '9.7.1'],
    ['the power of who has less', MOD, { ...LEVELS, users: { [ADMIN]: 100, [MOD]: 50, [ALICE]: 50 } }, 'allow'],
    ['the removal of who has less', MOD, { ...LEVELS, users: { [ADMIN]: 100, [MOD]: 50 } }, 'allow'],
    ['the power of who has more', MOD, { ...LEVELS, users: { [ADMIN]: 50, [MOD]: 50, [ALICE]: 10 } }, '9.8.1'],
    ['the removal of who has more', MOD, { ...LEVELS, users: { [MOD]: 50, [ALICE]: 10 } }, '9.8.1'],
    ['one’s own power down', MOD, { ...LEVELS, users: { [ADMIN]: 100, [MOD]: 1, [ALICE]: 10 } }, 'allow'],
    ['one’s own entry away', MOD, { ...LEVELS, users: { [ADMIN]: 100, [ALICE]: 10 } }, 'allow'],
    ['one’s own power up', MOD, { ...LEVELS, users: { [ADMIN]: 100, [MOD]: 51, [ALICE]: 10 } }, '9.9.1'],
    ['somebody above oneself', MOD, { ...LEVELS, users: { [ADMIN]: 100, [MOD]: 50, [ALICE]: 51 } }, '9.9.1'],
    [
      'a new user above oneself',
      MOD,
      { ...LEVELS, users: { ...(LEVELS.users as JsonObject), '@new:a.org': 51 } },
      '9.9.1',
    ],
    ['members that nobody knows', MOD, { ...LEVELS, extra: 'x' }, 'allow'],
    ['everything, by who has most', ADMIN, { users: { [ADMIN]: 100 } }, 'allow'],
  ])('changing %s', (_what, sender, content, rule) => {
    expectVerdict(rules, change(rules, sender, content, ROOM), rule);
  });

  test('who has as much cannot be changed', () => {
    const room: RoomSpec = { levels: { users: { [ADMIN]: 100, [ALICE]: 100 } } };
    expectVerdict(rules, change(rules, ADMIN, { users: { [ADMIN]: 100, [ALICE]: 0 } }, room), '9.8.1');
  });

  test('the power to send them at all comes first', () => {
    expectVerdict(rules, change(rules, MOD, { ...USUAL_LEVELS, redact: 50 }), 'allow');
    expectVerdict(rules, change(rules, ALICE, USUAL_LEVELS), '7');
    expectVerdict(rules, change(rules, ALICE, USUAL_LEVELS, { levels: null }), '7');
  });
});

describe('creators', () => {
  const create = { additional_creators: [ALICE] };

  test('of version 12 must not be listed', () => {
    for (const creator of [CREATOR, ALICE]) {
      const content = { users: { [creator]: 100 } };
      expect(change(V12, CREATOR, content, { create, levels: null })).toMatchObject({ allowed: false, rule: '10.4' });
      expectVerdict(V11, change(V11, CREATOR, content, { create, levels: null }), 'allow');
    }
  });

  test('of version 12 may change anything', () => {
    const room: RoomSpec = {
      create,
      levels: { users: { [MOD]: Number.MAX_SAFE_INTEGER }, ban: Number.MAX_SAFE_INTEGER },
    };
    for (const creator of [CREATOR, ALICE])
      expectVerdict(V12, change(V12, creator, { users: { [MOD]: 0 } }, room), 'allow');
  });

  test('of version 12 that are only claimed in version 11 may not', () => {
    expectVerdict(V11, change(V11, ALICE, {}, { create }), '7');
  });
});
