import { describe, expect, test } from 'vitest';
import { canonicalJson } from './canonical-json.ts';
import {
  checkEventFormat,
  type EventFormatProblem,
  MAX_AUTH_EVENTS,
  MAX_DEPTH,
  MAX_EVENT_BYTES,
  MAX_FIELD_BYTES,
  MAX_PREV_EVENTS,
} from './event-format.ts';
import { eventTexts } from './event-texts.ts';
import type { JsonObject } from './pdu.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';

const V11 = roomVersionRules('11') as RoomVersionRules;
const V12 = roomVersionRules('12') as RoomVersionRules;
const HASH = 'A'.repeat(43);

const EVENT: JsonObject = {
  type: 'm.room.message',
  room_id: `!${HASH}`,
  sender: '@alice:example.org',
  content: { body: 'hello' },
  origin_server_ts: 1,
  depth: 1,
  prev_events: ['$prev'],
  auth_events: ['$auth'],
  hashes: { sha256: 'x' },
  signatures: { 'example.org': { 'ed25519:a': 'x' } },
};

const CREATE: JsonObject = {
  ...EVENT,
  type: 'm.room.create',
  state_key: '',
  prev_events: [],
  auth_events: [],
  room_id: undefined,
};

function check(changes: JsonObject, rules = V12): EventFormatProblem | 'valid' {
  const verdict = checkEventFormat({ ...EVENT, ...changes }, rules);
  if (verdict.valid) return 'valid';
  expect(verdict.reason).toMatch(/\.$/);
  return verdict.problem;
}

test('an event as it should be is valid', () => {
  expect(checkEventFormat(EVENT, V12)).toEqual({ valid: true, pdu: EVENT, texts: eventTexts(EVENT, V12) });
});

test.each([
  'type',
  'sender',
  'room_id',
  'content',
  'origin_server_ts',
  'depth',
  'prev_events',
  'auth_events',
  'hashes',
  'signatures',
])('an event without %s is not, nor one with another type there', (field) => {
  expect(checkEventFormat({ ...EVENT, [field]: undefined }, V12)).toMatchObject({ problem: 'missing', field });
  for (const wrong of [null, true, field === 'depth' || field === 'origin_server_ts' ? '5' : 5]) {
    expect(checkEventFormat({ ...EVENT, [field]: wrong }, V12)).toMatchObject({ problem: 'wrong_type', field });
  }
});

describe('fields', () => {
  test.each<[string, JsonObject, EventFormatProblem | 'valid']>([
    ['a state key', { state_key: '' }, 'valid'],
    ['a state key that is no text', { state_key: 1 }, 'wrong_type'],
    ['a state key as long as allowed', { state_key: 'k'.repeat(MAX_FIELD_BYTES) }, 'valid'],
    ['a state key too long', { state_key: 'k'.repeat(MAX_FIELD_BYTES + 1) }, 'too_long'],
    ['a state key too long in bytes only', { state_key: 'é'.repeat(128) }, 'too_long'],
    ['a type as long as allowed', { type: 't'.repeat(MAX_FIELD_BYTES) }, 'valid'],
    ['a type too long', { type: 't'.repeat(MAX_FIELD_BYTES + 1) }, 'too_long'],
    ['a sender that is no user id', { sender: 'alice' }, 'malformed_id'],
    ['a sender too long', { sender: `@${'a'.repeat(250)}:example.org` }, 'too_long'],
    ['a historical sender', { sender: '@Älice x:example.org' }, 'valid'],
    ['content that is a list', { content: [] }, 'wrong_type'],
    ['unsigned that is a list', { unsigned: [] }, 'wrong_type'],
    ['unsigned', { unsigned: { age: 1 } }, 'valid'],
    ['a negative depth', { depth: -1 }, 'out_of_range'],
    ['a depth of nothing', { depth: 0 }, 'valid'],
    ['the greatest depth', { depth: MAX_DEPTH }, 'valid'],
    ['a depth beyond it', { depth: MAX_DEPTH + 1 }, 'wrong_type'],
    ['half a depth', { depth: 1.5 }, 'wrong_type'],
    ['a time before the epoch', { origin_server_ts: -1 }, 'valid'],
    ['no sha256', { hashes: {} }, 'missing'],
    ['a sha256 that is no text', { hashes: { sha256: 1 } }, 'missing'],
    ['signatures that are not by server', { signatures: { a: 'x' } }, 'wrong_type'],
    ['a signature that is no text', { signatures: { a: { b: 1 } } }, 'wrong_type'],
    ['a fraction in the content', { content: { a: 0.5 } }, 'not_canonical_json'],
    ['half a surrogate pair in the content', { content: { a: '\ud800' } }, 'not_canonical_json'],
    ['members that nobody knows', { extra: { a: [1] } }, 'valid'],
  ])('%s', (_name, changes, expected) => {
    expect(check(changes)).toBe(expected);
  });
});

describe('references', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, index) => `$${index}`);

  test.each<[string, JsonObject, EventFormatProblem | 'valid']>([
    ['as many prev_events as allowed', { prev_events: ids(MAX_PREV_EVENTS) }, 'valid'],
    ['too many prev_events', { prev_events: ids(MAX_PREV_EVENTS + 1) }, 'too_many'],
    ['as many auth_events as allowed', { auth_events: ids(MAX_AUTH_EVENTS) }, 'valid'],
    ['too many auth_events', { auth_events: ids(MAX_AUTH_EVENTS + 1) }, 'too_many'],
    ['prev_events of an early room version', { prev_events: [['$a:b', { sha256: 'x' }]] }, 'malformed_id'],
    ['an auth event without a sigil', { auth_events: ['auth'] }, 'malformed_id'],
    ['the create event among the auth events', { auth_events: [`$${HASH}`] }, 'not_allowed'],
  ])('%s', (_name, changes, expected) => {
    expect(check(changes)).toBe(expected);
  });

  test('in version 11 the create event is among the auth events', () => {
    expect(check({ room_id: '!r:example.org', auth_events: [`$${HASH}`] }, V11)).toBe('valid');
  });
});

describe('the room id', () => {
  test.each<[RoomVersionRules, string, EventFormatProblem | 'valid']>([
    [V12, `!${HASH}`, 'valid'],
    [V12, '!room:example.org', 'malformed_id'],
    [V12, `!${HASH}:example.org`, 'malformed_id'],
    [V12, `#${HASH}`, 'malformed_id'],
    [V11, '!room:example.org', 'valid'],
    [V11, `!${HASH}`, 'malformed_id'],
  ])('of version $version may be %s: %s', (rules, roomId, expected) => {
    expect(check({ room_id: roomId }, rules)).toBe(expected);
  });

  test('is absent from the create event of version 12, and present in that of version 11', () => {
    expect(checkEventFormat(CREATE, V12)).toMatchObject({ valid: true });
    expect(checkEventFormat(CREATE, V11)).toMatchObject({ problem: 'missing', field: 'room_id' });
    expect(checkEventFormat({ ...CREATE, room_id: '!room:example.org' }, V11)).toMatchObject({ valid: true });
  });
});

describe('the size', () => {
  const empty = Buffer.byteLength(canonicalJson({ ...EVENT, content: { body: '' } }));
  const sized = (sizeBytes: number): JsonObject => ({ content: { body: 'x'.repeat(sizeBytes - empty) } });

  test('may be 65,536 bytes and not one more, signatures included', () => {
    expect(check(sized(MAX_EVENT_BYTES))).toBe('valid');
    expect(check(sized(MAX_EVENT_BYTES + 1))).toBe('event_too_large');
  });

  test('is counted in bytes of UTF-8', () => {
    expect(check({ content: { body: '日'.repeat(22_000) } })).toBe('event_too_large');
  });
});

test('nesting without end is refused, not walked', () => {
  let value: JsonObject = {};
  for (let level = 0; level < 100_000; level += 1) value = { a: value };
  expect(check({ content: value })).toBe('not_canonical_json');
});
