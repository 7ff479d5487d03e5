import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { pduRecord, readPduRecord } from '#projections/rooms/pdu-record.ts';
import { checkAuth } from '#protocol/auth/index.ts';
import type { AuthEvent, StateLookup } from '#protocol/auth/types.ts';
import { decodeBase64 } from '#protocol/base64.ts';
import { CanonicalJsonError, canonicalJson } from '#protocol/canonical-json.ts';
import { checkEventFormat } from '#protocol/event-format.ts';
import { eventIdOf, hasValidContentHash, numberStrictness, referenceHash } from '#protocol/hashing.ts';
import { JsonSyntaxError, parseJsonExactly } from '#protocol/json-limits.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact, splitPdu } from '#protocol/redaction.ts';
import type { RoomVersionRules } from '#protocol/room-version.ts';
import { verifyEventSignature } from '#protocol/signing.ts';
import { rulesOf } from './synapse.ts';

type EventFixture =
  | readonly [version: string, text: string, isTaken: false]
  | readonly [version: string, text: string, isTaken: true, eventId: string, referenceHash: string, sent: string];

const fixture = JSON.parse(
  gunzipSync(readFileSync(fileURLToPath(new URL('../fixtures/protocol/numbers.json.gz', import.meta.url)))).toString(),
) as {
  readonly key: string;
  readonly events: readonly EventFixture[];
  readonly levels: readonly (readonly [version: string, own: string, required: string, mayIt: boolean])[];
};
const publicKey = decodeBase64(fixture.key) as Uint8Array;

/** An event as it comes from another server; undefined if it is not taken. */
function received(text: string, rules: RoomVersionRules): Pdu | undefined {
  try {
    const event = parseJsonExactly(text) as JsonObject;
    // Whatever comes in is canonical JSON with Python's numbers, or the request that it is in has no signature.
    canonicalJson(event, 'loose');
    const form = checkEventFormat(event, rules);
    return form.valid ? form.pdu : undefined;
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof CanonicalJsonError) return undefined;
    throw error;
  }
}

describe.each([...new Set(fixture.events.map(([version]) => version))])('room version %s', (version) => {
  const rules = rulesOf(version);
  const events = fixture.events.filter((event) => event[0] === version);

  test('events with the numbers that Synapse takes are taken, and no others', () => {
    const differing = events.filter(([, text, isTaken]) => (received(text, rules) !== undefined) !== isTaken);
    expect(differing).toEqual([]);
  });

  test('they hash, verify and are sent on as Synapse has it, also from the log', () => {
    for (const event of events) {
      if (!event[2]) continue;
      const [, text, , eventId, reference, sent] = event;
      const pdu = received(text, rules) as Pdu;
      for (const form of [pdu, afterTheLog(pdu, eventId, rules)]) {
        expect(eventIdOf(form, rules)).toBe(eventId);
        expect(referenceHash(redact(form, rules), rules)).toBe(reference);
        expect(hasValidContentHash(form, rules)).toBe(true);
        expect(verifyEventSignature(form, rules, 'a.org', 'ed25519:k', publicKey)).toBe(true);
        expect(canonicalJson(form, 'loose')).toBe(sent);
        expect(canonicalJson(parseJsonExactly(JSON.stringify(form)), 'loose')).toBe(sent);
      }
    }
  });
});

function afterTheLog(pdu: Pdu, eventId: string, rules: RoomVersionRules): Pdu {
  const { skeleton, stripped } = splitPdu(pdu, rules);
  const meta = { eventId, roomId: '!room:a.org', roomVersion: rules.version, disposition: 'accepted' } as const;
  const skeletonJson = canonicalJson(skeleton, numberStrictness(rules));
  const { decoded: _, ...draft } = pduRecord(new Uint8Array(16), meta, pdu, skeletonJson, stripped);
  const record = { ...draft, sections: draft.sections.map((section) => Buffer.from(section)) };
  const read = readPduRecord({ ...record, stream: 'room', position: 0, revision: 0, recordedAtMs: 0 } as never);
  if (read === undefined) throw new Error('The record says nothing.');
  return read.pdu;
}

test('levels are compared to the last digit', () => {
  const differing = fixture.levels.filter(
    ([version, own, required, mayIt]) => maySend(version, own, required) !== mayIt,
  );
  expect(fixture.levels.length).toBeGreaterThan(500);
  expect(differing).toEqual([]);
});

function maySend(version: string, own: string, required: string): boolean {
  const state: StateLookup = (type, stateKey) => {
    const content = contents[type]?.[stateKey];
    return content && ({ eventId: `$${type}`, type, stateKey, sender: '@ann:a.org', content } satisfies AuthEvent);
  };
  const levels = `{"users":{"@bob:a.org":${own}},"events":{"org.example":${required}}}`;
  const contents: { readonly [type: string]: { readonly [stateKey: string]: JsonObject } } = {
    'm.room.create': { '': { creator: '@ann:a.org', room_version: version } },
    'm.room.power_levels': { '': parseJsonExactly(levels) as JsonObject },
    'm.room.member': { '@bob:a.org': { membership: 'join' } },
  };
  const event = {
    type: 'org.example',
    sender: '@bob:a.org',
    room_id: '!r:a.org',
    content: {},
    prev_events: ['$x'],
    signatures: 'unchecked',
  } as const;
  return checkAuth(event, state, rulesOf(version)).allowed;
}
