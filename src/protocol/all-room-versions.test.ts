import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyPdu } from './arbitraries.test-support.ts';
import { type AuthEvent, checkAuth } from './auth/index.ts';
import { buildEvent } from './build-event.ts';
import { CanonicalJsonError, canonicalJson } from './canonical-json.ts';
import { checkEventFormat } from './event-format.ts';
import { authEventIdsOf, authInputOf, prevEventIdsOf } from './event-references.ts';
import { contentHash, eventIdOf, hasValidContentHash, MissingEventIdError } from './hashing.ts';
import { parseJsonExactly } from './json-limits.ts';
import type { JsonObject, JsonValue, Pdu } from './pdu.ts';
import { type Level, levelIn, powerLevelsOf } from './power-levels.ts';
import { joinPdu, redact, redactedEventIdOf, splitPdu } from './redaction.ts';
import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from './room-version.ts';
import { requiredSigners, signingKeyFromSeed, verifyEventSignature } from './signing.ts';

function rulesOf(version: string): RoomVersionRules {
  return roomVersionRules(version) as RoomVersionRules;
}

const ALL_RULES = SUPPORTED_ROOM_VERSIONS.map(rulesOf);
const KEY = signingKeyFromSeed('ed25519:a', new Uint8Array(32).fill(3));
const HASH = 'A'.repeat(43);

/** A message as room versions 1 and 2 have it. */
const OLD: JsonObject = {
  type: 'm.room.message',
  event_id: '$one:a.org',
  room_id: '!room:a.org',
  sender: '@ann:a.org',
  content: {},
  origin_server_ts: 1,
  depth: 1,
  prev_events: [['$zero:a.org', { sha256: 'x' }]],
  auth_events: [['$create:a.org', { sha256: 'x' }]],
  hashes: { sha256: 'x' },
  signatures: { 'a.org': { 'ed25519:a': 'x' } },
};

/** The same as versions 3 to 11 have it. */
const NEW: JsonObject = { ...OLD, event_id: undefined, prev_events: ['$zero'], auth_events: ['$create'] };

describe.each(ALL_RULES)('in room version $version', (rules) => {
  const carriesId = rules.eventIdFormat === 'opaque_with_domain';
  const withId = (pdu: Pdu): Pdu => ({ ...pdu, event_id: '$one:a.org' });

  test('redaction is idempotent and keeps the event id', () => {
    fc.assert(
      fc.property(anyPdu.map(withId), (pdu) => {
        const once = redact(pdu, rules);
        expect(canonicalJson(redact(once, rules))).toBe(canonicalJson(once));
        expect(eventIdOf(once, rules)).toBe(eventIdOf(pdu, rules));
      }),
      { numRuns: 40 },
    );
  });

  test('an event put together again from what redaction keeps and what it removes is what it was', () => {
    fc.assert(
      fc.property(anyPdu.map(withId), (pdu) => {
        const { skeleton, stripped } = splitPdu(pdu, rules);
        expect(canonicalJson(skeleton)).toBe(canonicalJson(redact(pdu, rules)));
        expect(canonicalJson(joinPdu(skeleton, stripped))).toBe(canonicalJson(pdu));
      }),
      { numRuns: 40 },
    );
  });

  test('what we send is canonical JSON to the letter', () => {
    const { hashes: _hashes, signatures: _signatures, ...draft } = OLD as Pdu;
    expect(() => buildEvent({ ...draft, content: { odd: 0.5 } }, rules, 'a.org', KEY)).toThrow(CanonicalJsonError);
  });

  test('an event built has its id, its hash and its signature', () => {
    const { hashes: _hashes, signatures: _signatures, ...draft } = OLD as Pdu;
    const { pdu, eventId } = buildEvent({ ...draft, content: { body: 'é' } }, rules, 'a.org', KEY);
    expect(eventId).toBe(eventIdOf(pdu, rules));
    expect(pdu.hashes.sha256).toBe(contentHash(pdu, rules));
    expect(hasValidContentHash(pdu, rules)).toBe(true);
    expect(verifyEventSignature(pdu, rules, 'a.org', KEY.keyId, KEY.publicKey)).toBe(true);
    expect(requiredSigners({ ...pdu, event_id: '$one:b.org' }, rules)).toEqual(
      carriesId ? ['a.org', 'b.org'] : ['a.org'],
    );
    if (carriesId) expect(() => eventIdOf({ ...pdu, event_id: 1 }, rules)).toThrow(MissingEventIdError);
  });

  test('references are pairs of id and hashes in versions 1 and 2, ids later', () => {
    const isOld = rules.eventFormat.referencesHoldHashes;
    const room = rules.roomIdFormat === 'create_event_hash' ? { room_id: `!${HASH}` } : {};
    const pdu = { ...(isOld ? OLD : NEW), ...room } as Pdu;
    expect(checkEventFormat(pdu, rules)).toMatchObject({ valid: true });
    expect(prevEventIdsOf(pdu, rules)).toEqual([isOld ? '$zero:a.org' : '$zero']);
    expect(authEventIdsOf(pdu, rules)).toEqual([isOld ? '$create:a.org' : '$create']);
    expect(authInputOf(pdu, rules).prev_events).toEqual(prevEventIdsOf(pdu, rules));
    const { prev_events: others } = isOld ? NEW : OLD;
    const wrong = { ...pdu, prev_events: others as JsonValue };
    expect(checkEventFormat(wrong, rules)).toMatchObject({ problem: 'malformed_id', disposition: 'drop' });
  });

  test('every rule has a number of its own', () => {
    const given = Object.values(rules.authorization.ruleNumbers).filter((number) => number !== '');
    expect(new Set(given).size).toBe(given.length);
  });

  test('fractions and integers out of range are events only before version 6', () => {
    const pdu = {
      ...(carriesId ? OLD : NEW),
      ...(rules.roomIdFormat === 'create_event_hash' ? { room_id: `!${HASH}` } : {}),
    };
    const isStrict = Number(rules.version) >= 6;
    for (const odd of [0.5, 1e-7, 2 ** 60]) {
      const verdict = checkEventFormat({ ...pdu, content: { odd } }, rules);
      expect(verdict.valid).toBe(!isStrict);
    }
    const depths = ['9007199254740992', '9223372036854775807', '5.0', '1.5', '-0.0'];
    for (const odd of depths.map(parseJsonExactly)) {
      expect(checkEventFormat({ ...pdu, depth: odd }, rules)).toMatchObject({ valid: false, disposition: 'drop' });
    }
    const times: [string, boolean][] = [
      ['9223372036854775807', !isStrict],
      ['-9223372036854775808', !isStrict],
      ['9223372036854775808', false],
      ['-9223372036854775809', false],
      ['5.0', false],
      ['-5', true],
    ];
    for (const [time, isValid] of times) {
      expect(checkEventFormat({ ...pdu, origin_server_ts: parseJsonExactly(time) }, rules).valid).toBe(isValid);
    }
  });

  test('a text too long in bytes alone makes an event one to reject before version 11, and one to drop since', () => {
    const pdu = {
      ...(carriesId ? OLD : NEW),
      ...(rules.roomIdFormat === 'create_event_hash' ? { room_id: `!${HASH}` } : {}),
    };
    const isLenient = Number(rules.version) < 11;
    const disposition = isLenient ? 'reject' : 'drop';
    for (const changes of [
      { type: 'é'.repeat(200) },
      { state_key: '😀'.repeat(255) },
      { sender: `@${'é'.repeat(200)}:a.org` },
    ]) {
      expect(checkEventFormat({ ...pdu, ...changes }, rules)).toMatchObject({ problem: 'too_long', disposition });
      const alsoWrong = { ...pdu, ...changes, depth: -1 };
      expect(checkEventFormat(alsoWrong, rules)).toMatchObject({ valid: false, disposition: 'drop' });
    }
    expect(checkEventFormat({ ...pdu, type: 'é'.repeat(256) }, rules)).toMatchObject({ disposition: 'drop' });
  });

  test('levels are integers since version 10; before, what reads as one counts', () => {
    const isStrict = Number(rules.version) >= 10;
    const readings: [JsonValue, Level | undefined][] = [
      [' 0050 ', 50],
      ['+7', 7],
      ['-7', -7],
      ['1_0', 10],
      ['٣', 3],
      ['-１２', -12],
      ['𝟗𝟘', 90],
      ['9'.repeat(4301), undefined],
      [50.57, 50],
      [-0.5, 0],
      [true, 1],
      ['7.5', undefined],
      ['', undefined],
      ['ten', undefined],
      [null, undefined],
      [Number.POSITIVE_INFINITY, undefined],
      ['9'.repeat(400), BigInt('9'.repeat(400))],
      ['-9007199254740993', -9007199254740993n],
    ];
    for (const [value, level] of readings) expect(levelIn(value, rules)).toBe(isStrict ? undefined : level);
    expect(levelIn(50, rules)).toBe(50);
    expect(levelIn(1e300, rules)).toBe(BigInt(1e300));
  });

  test('the creator is who the create event says', () => {
    const levels = powerLevelsOf(undefined, { sender: '@ann:a.org', content: { creator: '@bob:b.org' } }, rules);
    const isNamed = Number(rules.version) < 11;
    expect(levels.powerLevelOf('@bob:b.org')).toBe(isNamed ? 100 : 0);
    expect(levels.powerLevelOf('@ann:a.org')).toBe(
      isNamed ? 0 : Number(rules.version) < 12 ? 100 : Number.POSITIVE_INFINITY,
    );
  });

  test('aliases are of their own server before version 6, and state like any other since', () => {
    const isOld = Number(rules.version) < 6;
    expect(judge(rules, { type: 'm.room.aliases', sender: '@out:b.org', state_key: 'b.org' })).toBe(
      isOld ? 'allow' : rule(rules, 'senderNotJoined'),
    );
    expect(judge(rules, { type: 'm.room.aliases', sender: '@ann:a.org', state_key: 'b.org' })).toBe(
      isOld ? '4.2' : 'allow',
    );
    expect(judge(rules, { type: 'm.room.aliases', sender: '@ann:a.org' })).toBe(isOld ? '4.1' : 'allow');
  });

  test('redactions take power or an event of the same server in versions 1 and 2', () => {
    const redaction = { type: 'm.room.redaction', sender: '@low:a.org', event_id: '$r:a.org' };
    expect(judge(rules, { ...redaction, redacts: '$x:a.org' })).toBe('allow');
    expect(judge(rules, { ...redaction, redacts: '$x:b.org' })).toBe(carriesId ? '11.3' : 'allow');
    expect(judge(rules, redaction)).toBe('allow');
    expect(judge(rules, { ...redaction, sender: '@ann:a.org', redacts: '$x:b.org' })).toBe('allow');
  });

  test('a redaction names its target at the top before version 11', () => {
    const redaction = {
      ...OLD,
      type: 'm.room.redaction',
      redacts: '$top',
      content: { redacts: '$inside' },
    } as unknown as Pdu;
    expect(redactedEventIdOf(redaction, rules)).toBe(Number(rules.version) < 11 ? '$top' : '$inside');
  });

  test('a create event names its creator before version 11', () => {
    const create = { type: 'm.room.create', sender: '@ann:a.org', state_key: '', content: {}, prev_events: [] };
    const room = rules.eventFormat.createEventHasRoomId ? { room_id: '!room:a.org' } : {};
    const verdict = checkAuth({ ...create, ...room }, () => undefined, rules);
    expect(verdict).toMatchObject(Number(rules.version) < 11 ? { allowed: false, rule: '1.4' } : { allowed: true });
  });
});

const CREATE_ID = `$${HASH}`;

/** The number of the rule that refuses an event in a room with Ann, who may do everything, and another user. */
function judge(rules: RoomVersionRules, event: { type: string; sender: string; [key: string]: JsonValue }): string {
  const state: AuthEvent[] = [
    ['m.room.create', '', { creator: '@ann:a.org' }],
    ['m.room.member', '@ann:a.org', { membership: 'join' }],
    ['m.room.member', '@low:a.org', { membership: 'join' }],
    ['m.room.power_levels', '', { users: { '@ann:a.org': 100 } }],
  ].map(([type, stateKey, content]) => ({
    eventId: type === 'm.room.create' ? CREATE_ID : `$${type}`,
    type: type as string,
    stateKey: stateKey as string,
    sender: '@ann:a.org',
    content: content as JsonObject,
  }));
  const roomId = rules.roomIdFormat === 'create_event_hash' ? `!${HASH}` : '!room:a.org';
  const input = { content: {}, prev_events: ['$prev'], room_id: roomId, ...event };
  const lookup = (type: string, stateKey: string) =>
    state.find((candidate) => candidate.type === type && candidate.stateKey === stateKey);
  const verdict = checkAuth(input, lookup, rules);
  return verdict.allowed ? 'allow' : verdict.rule;
}

function rule(rules: RoomVersionRules, name: 'senderNotJoined'): string {
  return rules.authorization.ruleNumbers[name];
}
