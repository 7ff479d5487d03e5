import { describe, expect, test } from 'vitest';
import type { JsonObject } from './pdu.ts';
import { creatorsOf, type PowerLevels, powerLevelsOf } from './power-levels.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';

const V11 = roomVersionRules('11') as RoomVersionRules;
const V12 = roomVersionRules('12') as RoomVersionRules;
const CREATE = { sender: '@creator:a.org', content: { additional_creators: ['@second:a.org', 5, '@creator:a.org'] } };

function levels(content: JsonObject | undefined, rules = V12): PowerLevels {
  return powerLevelsOf(content, CREATE, rules);
}

describe('without a power levels event', () => {
  test.each([
    [V11, '@creator:a.org', 100],
    [V11, '@second:a.org', 0],
    [V11, '@other:a.org', 0],
    [V12, '@creator:a.org', Number.POSITIVE_INFINITY],
    [V12, '@second:a.org', Number.POSITIVE_INFINITY],
    [V12, '@other:a.org', 0],
  ])('in version $version %s has power %d', (rules, user, power) => {
    expect(levels(undefined, rules).powerLevelOf(user)).toBe(power);
  });

  test('the levels are the defaults', () => {
    const { invite, kick, ban, redact } = levels(undefined);
    expect({ invite, kick, ban, redact }).toEqual({ invite: 0, kick: 50, ban: 50, redact: 50 });
    expect(levels(undefined).requiredLevel('m.room.name', true)).toBe(50);
    expect(levels(undefined).requiredLevel('m.room.message', false)).toBe(0);
    expect(levels(undefined).notificationLevel('room')).toBe(50);
  });
});

describe('with a power levels event', () => {
  const content = {
    users: { '@mod:a.org': 50, '@creator:a.org': 10, '@low:a.org': -5 },
    users_default: 1,
    events: { 'm.room.name': 70, 'm.reaction': 2 },
    events_default: 3,
    state_default: 60,
    invite: 5,
    kick: 6,
    ban: 7,
    redact: 8,
    notifications: { room: 9 },
  };

  test('users have what it says, others its default, creators of version 12 more than anything', () => {
    expect(levels(content, V11).powerLevelOf('@creator:a.org')).toBe(10);
    expect(levels(content, V12).powerLevelOf('@creator:a.org')).toBe(Number.POSITIVE_INFINITY);
    expect(levels(content).powerLevelOf('@mod:a.org')).toBe(50);
    expect(levels(content).powerLevelOf('@low:a.org')).toBe(-5);
    expect(levels(content).powerLevelOf('@other:a.org')).toBe(1);
  });

  test('creators of version 11 have no power of their own once there is one', () => {
    expect(levels({}, V11).powerLevelOf('@creator:a.org')).toBe(0);
  });

  test('events take what it says, by type, then by being state or not', () => {
    expect(levels(content).requiredLevel('m.room.name', true)).toBe(70);
    expect(levels(content).requiredLevel('m.room.topic', true)).toBe(60);
    expect(levels(content).requiredLevel('m.reaction', false)).toBe(2);
    expect(levels(content).requiredLevel('m.room.message', false)).toBe(3);
    const { invite, kick, ban, redact } = levels(content);
    expect({ invite, kick, ban, redact }).toEqual({ invite: 5, kick: 6, ban: 7, redact: 8 });
    expect(levels(content).notificationLevel('room')).toBe(9);
    expect(levels(content).notificationLevel('other')).toBe(50);
  });

  test('names that every JavaScript object knows have no level of their own', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect(levels(content).requiredLevel(name, false)).toBe(3);
      expect(levels(content).powerLevelOf(name)).toBe(1);
      expect(levels(content).notificationLevel(name)).toBe(50);
    }
  });

  test('what is not an integer or not an object counts as not said', () => {
    const broken = { users: [], users_default: '100', events: null, state_default: 0.5, ban: true, notifications: 1 };
    expect(levels(broken).powerLevelOf('@a:a.org')).toBe(0);
    expect(levels(broken).requiredLevel('m.room.name', true)).toBe(50);
    expect(levels(broken).ban).toBe(50);
    expect(levels(broken).notificationLevel('room')).toBe(50);
  });
});

test('the creators are the sender, and where the version has it those it adds', () => {
  expect(creatorsOf(CREATE, V11)).toEqual(['@creator:a.org']);
  expect(creatorsOf(CREATE, V12)).toEqual(['@creator:a.org', '@second:a.org']);
  expect(creatorsOf({ sender: '@a:b', content: { additional_creators: '@c:d' } }, V12)).toEqual(['@a:b']);
});
