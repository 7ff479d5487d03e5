import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyPdu } from './arbitraries.test-support.ts';
import { buildEvent, type EventDraft } from './build-event.ts';
import { CanonicalJsonError, canonicalJson } from './canonical-json.ts';
import { checkEventFormat } from './event-format.ts';
import { eventReference, prevEventIdsOf } from './event-references.ts';
import { contentHash, eventIdOf, hasValidContentHash, referenceHash } from './hashing.ts';
import { MAX_JSON_DEPTH } from './json-limits.ts';
import type { EventReference, JsonObject } from './pdu.ts';
import { splitPdu } from './redaction.ts';
import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from './room-version.ts';
import { signingKeyFromSeed, signJson, verifyEventSignature } from './signing.ts';

const ALL_RULES = SUPPORTED_ROOM_VERSIONS.flatMap((version) => roomVersionRules(version) ?? []);
const KEY = signingKeyFromSeed('ed25519:a_1', new Uint8Array(32).fill(7));
const SERVER = 'example.org';

const MESSAGE: EventDraft = {
  type: 'm.room.message',
  room_id: `!${'A'.repeat(43)}`,
  sender: '@alice:example.org',
  content: { msgtype: 'm.text', body: 'Grüße 😀' },
  origin_server_ts: 1_700_000_000_000,
  depth: 7,
  prev_events: [`$${'B'.repeat(43)}`],
  auth_events: [`$${'C'.repeat(43)}`],
};

const anyDraft: fc.Arbitrary<EventDraft> = anyPdu.map(
  ({ hashes: _hashes, signatures: _signatures, ...draft }) => draft,
);

/** A draft as a room version has it: with an id of its own, and with hashes beside the ids that it names, where that is so. */
function asIn(rules: RoomVersionRules, draft: EventDraft): EventDraft {
  const { prev_events: prev, auth_events: auth, event_id: _, ...others } = draft;
  const named = (id: unknown): EventReference => eventReference(String(id), () => 'D_-'.padEnd(43, 'D'), rules);
  return {
    ...others,
    ...(draft.room_id !== undefined && { room_id: roomId(rules.roomIdFormat) }),
    ...(rules.eventIdFormat === 'opaque_with_domain' && { event_id: '$of-our-own:example.org' }),
    prev_events: prev.map(named),
    auth_events: auth.map(named),
  };
}

describe.each(ALL_RULES)('an event built in room version $version', (rules) => {
  test('is what hashing, redacting and signing one after the other make of it', () => {
    fc.assert(
      fc.property(anyDraft, (any) => {
        const draft = asIn(rules, any);
        const { pdu, eventId, referenceHash: hash, skeletonJson, sizeBytes } = buildEvent(draft, rules, SERVER, KEY);
        expect(pdu.hashes).toEqual({ sha256: contentHash(draft) });
        expect(eventId).toBe(eventIdOf(pdu, rules));
        const { skeleton } = splitPdu(pdu, rules);
        expect(hash).toBe(referenceHash(skeleton));
        expect(skeletonJson).toBe(canonicalJson(skeleton));
        expect(pdu.signatures).toEqual(signJson({ ...skeleton, signatures: {} }, SERVER, KEY).signatures);
        expect(sizeBytes).toBe(Buffer.byteLength(canonicalJson(pdu)));
      }),
      { numRuns: 300 },
    );
  });

  test('passes every check of the servers it is sent to', () => {
    const { pdu, sizeBytes } = buildEvent(asIn(rules, MESSAGE), rules, SERVER, KEY);
    expect(hasValidContentHash(pdu)).toBe(true);
    expect(verifyEventSignature(pdu, rules, SERVER, KEY.keyId, KEY.publicKey)).toBe(true);
    expect(checkEventFormat(pdu, rules)).toMatchObject({ valid: true });
    expect(checkEventFormat(pdu, rules)).toMatchObject({ valid: true, texts: { sizeBytes } });
  });

  test('has a signature that does not hold once it is changed', () => {
    const { pdu } = buildEvent(asIn(rules, MESSAGE), rules, SERVER, KEY);
    expect(verifyEventSignature({ ...pdu, depth: 8 }, rules, SERVER, KEY.keyId, KEY.publicKey)).toBe(false);
    expect(hasValidContentHash({ ...pdu, content: { ...pdu.content, body: 'Changed' } })).toBe(false);
  });

  test('is refused when it cannot be encoded', () => {
    for (const content of [{ level: 0.5 }, { level: 2 ** 53 }, { '\ud800': 1 }]) {
      expect(() => buildEvent({ ...asIn(rules, MESSAGE), content }, rules, SERVER, KEY)).toThrow(CanonicalJsonError);
    }
  });

  test('names others by id, or by id and hash in the alphabet of hashes', () => {
    const { pdu } = buildEvent(asIn(rules, MESSAGE), rules, SERVER, KEY);
    const [id] = MESSAGE.prev_events;
    const hashed = [id, { sha256: 'D/+'.padEnd(43, 'D') }];
    expect(pdu.prev_events).toEqual([Number(rules.version) <= 2 ? hashed : id]);
    expect(prevEventIdsOf(pdu, rules)).toEqual([id]);
  });
});

test('may nest as deep as an event from elsewhere may, and no deeper', () => {
  const rules = roomVersionRules('11') as RoomVersionRules;
  const nested = (levels: number): EventDraft => {
    let content: JsonObject = {};
    for (let level = 1; level < levels; level += 1) content = { a: content };
    return { ...MESSAGE, room_id: roomId(rules.roomIdFormat), content };
  };
  // The event itself is one level.
  const { pdu } = buildEvent(nested(MAX_JSON_DEPTH - 1), rules, SERVER, KEY);
  expect(checkEventFormat(pdu, rules)).toMatchObject({ valid: true });
  expect(() => buildEvent(nested(MAX_JSON_DEPTH), rules, SERVER, KEY)).toThrow(CanonicalJsonError);
});

function roomId(format: 'opaque_with_domain' | 'create_event_hash'): string {
  return format === 'create_event_hash' ? `!${'A'.repeat(43)}` : '!room:example.org';
}
