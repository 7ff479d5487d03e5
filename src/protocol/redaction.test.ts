import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyPdu } from './arbitraries.test-support.ts';
import { canonicalJson } from './canonical-json.ts';
import { eventIdOf } from './hashing.ts';
import type { JsonObject, JsonValue, Pdu } from './pdu.ts';
import { powerLevelsOf } from './power-levels.ts';
import { joinPdu, redact, redactContent, redactedEventIdOf, redactionTakesEffect, splitPdu } from './redaction.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';

const V11 = roomVersionRules('11') as RoomVersionRules;
const V12 = roomVersionRules('12') as RoomVersionRules;

const BASE: Pdu = {
  type: 'm.room.message',
  room_id: '!room:example.org',
  sender: '@alice:example.org',
  content: {},
  origin_server_ts: 1,
  depth: 1,
  prev_events: [],
  auth_events: [],
  hashes: { sha256: 'x' },
  signatures: {},
};

const LEVELS = {
  ban: 1,
  events: {},
  events_default: 1,
  invite: 1,
  kick: 1,
  redact: 1,
  state_default: 1,
  users: {},
  users_default: 1,
};

describe.each([V11, V12])('redaction in room version $version', (rules) => {
  test.each<[string, JsonObject, JsonObject]>([
    ['m.room.message', { body: 'secret', msgtype: 'm.text' }, {}],
    [
      'm.room.create',
      { room_version: '11', 'm.federate': false, anything: [1] },
      { room_version: '11', 'm.federate': false, anything: [1] },
    ],
    [
      'm.room.member',
      { membership: 'join', displayname: 'Alice', join_authorised_via_users_server: '@b:x' },
      { membership: 'join', join_authorised_via_users_server: '@b:x' },
    ],
    [
      'm.room.member',
      { third_party_invite: { signed: { token: 't' }, display_name: 'A' } },
      { third_party_invite: { signed: { token: 't' } } },
    ],
    ['m.room.member', { third_party_invite: { display_name: 'A' } }, { third_party_invite: {} }],
    ['m.room.member', { third_party_invite: 'text' }, {}],
    ['m.room.join_rules', { join_rule: 'restricted', allow: [], extra: 1 }, { join_rule: 'restricted', allow: [] }],
    ['m.room.power_levels', { ...LEVELS, notifications: { room: 1 }, extra: 1 }, LEVELS],
    ['m.room.history_visibility', { history_visibility: 'shared', extra: 1 }, { history_visibility: 'shared' }],
    ['m.room.redaction', { redacts: '$e', reason: 'spam' }, { redacts: '$e' }],
    ['m.room.aliases', { aliases: ['#a:x'] }, {}],
    ['constructor', { name: 'x' }, {}],
  ])('%s: %j keeps %j', (type, content, kept) => {
    expect(redact({ ...BASE, type, content }, rules).content).toEqual(kept);
    expect(redactContent({ type, content }, rules)).toEqual(kept);
  });

  test('keeps the top-level keys of the specification and no other', () => {
    const pdu = {
      ...BASE,
      event_id: '$e',
      state_key: '',
      origin: 'x',
      membership: 'join',
      prev_state: [],
      unsigned: {},
      redacts: '$r',
    };
    expect(Object.keys(redact(pdu, rules)).sort()).toEqual([
      'auth_events',
      'content',
      'depth',
      'event_id',
      'hashes',
      'origin_server_ts',
      'prev_events',
      'room_id',
      'sender',
      'signatures',
      'state_key',
      'type',
    ]);
  });

  test('redacting twice changes nothing more', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => {
        const once = redact(pdu, rules);
        expect(canonicalJson(redact(once, rules))).toBe(canonicalJson(once));
      }),
    );
  });

  test('a redacted event has the same id', () => {
    fc.assert(fc.property(anyPdu, (pdu) => eventIdOf(redact(pdu, rules), rules) === eventIdOf(pdu, rules)));
  });

  test('an event put together again from its parts is what it was', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => {
        const { skeleton, stripped } = splitPdu(pdu, rules);
        const joined = joinPdu(skeleton, stripped);
        expect(canonicalJson(joined)).toBe(canonicalJson(pdu));
        expect(joined).toEqual(pdu);
      }),
      { numRuns: 500 },
    );
  });

  test('the skeleton is what redaction keeps; the parts share no value and leave none out', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => {
        const { skeleton, stripped } = splitPdu(pdu, rules);
        expect(canonicalJson(skeleton)).toBe(canonicalJson(redact(pdu, rules)));
        const kept = leavesOf(skeleton);
        const lost = leavesOf(stripped);
        expect(kept.filter((leaf) => lost.includes(leaf))).toEqual([]);
        expect(leavesOf(pdu).filter((leaf) => !kept.includes(leaf) && !lost.includes(leaf))).toEqual([]);
      }),
    );
  });

  test('does not change the event it is given', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => {
        const before = canonicalJson(pdu);
        redact(pdu, rules);
        splitPdu(pdu, rules);
        expect(canonicalJson(pdu)).toBe(before);
      }),
    );
  });
});

/** Each value that is not an object with members, with the path to it. */
function leavesOf(value: JsonValue | undefined, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path}=${JSON.stringify(value)}`];
  return Object.entries(value).flatMap(([key, member]) => leavesOf(member, `${path}/${JSON.stringify(key)}`));
}

test('a message leaves its content, and only that, in the stripped part', () => {
  const pdu: Pdu = { ...BASE, content: { body: 'secret' } };
  const { skeleton, stripped } = splitPdu(pdu, V11);
  expect(stripped).toEqual({ content: { body: 'secret' } });
  expect(skeleton).toEqual({ ...BASE, content: {} });
});

test('a membership event is split inside of third_party_invite', () => {
  const content = {
    membership: 'invite',
    displayname: 'A',
    third_party_invite: { signed: { token: 't' }, display_name: 'A' },
  };
  expect(splitPdu({ ...BASE, type: 'm.room.member', content }, V11).stripped).toEqual({
    content: { displayname: 'A', third_party_invite: { display_name: 'A' } },
  });
});

test('what redaction leaves alone leaves nothing stripped', () => {
  expect(splitPdu({ ...BASE, type: 'm.room.create', content: { a: { b: 1 } } }, V11).stripped).toEqual({});
});

test('a redaction names its target in its content', () => {
  const redaction: Pdu = { ...BASE, type: 'm.room.redaction', content: { redacts: '$target' }, redacts: '$other' };
  expect(redactedEventIdOf(redaction, V11)).toBe('$target');
  expect(redactedEventIdOf({ ...redaction, content: { redacts: 1 } }, V11)).toBeUndefined();
  expect(redactedEventIdOf({ ...redaction, type: 'm.room.message' }, V11)).toBeUndefined();
});

test.each([
  ['a moderator, on anybody', '@mod:b.org', '@bob:c.org', true],
  ['anybody, on their own', '@alice:a.org', '@alice:a.org', true],
  ['anybody, on the server of the event', '@alice:a.org', '@other:a.org', true],
  ['anybody else', '@alice:a.org', '@bob:c.org', false],
])('a redaction by %s takes effect: %s on %s', (_who, redactor, target, expected) => {
  const create = { sender: '@creator:a.org', content: {} };
  const levels = powerLevelsOf({ users: { '@mod:b.org': 50 } }, create, V11);
  expect(redactionTakesEffect(redactor, target, levels)).toBe(expected);
});
