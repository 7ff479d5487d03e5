import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyPdu } from './arbitraries.test-support.ts';
import { CanonicalJsonError, canonicalJson } from './canonical-json.ts';
import { eventTexts } from './event-texts.ts';
import { eventIdOf, hasValidContentHash } from './hashing.ts';
import type { JsonObject, Pdu } from './pdu.ts';
import { redact, splitPdu } from './redaction.ts';
import { type RoomVersionRules, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from './room-version.ts';
import { signingKeyFromSeed, signJson, verifyEventSignature } from './signing.ts';

const KEY = signingKeyFromSeed('ed25519:a', new Uint8Array(32));

function without(object: JsonObject, ...keys: string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

describe.each(SUPPORTED_ROOM_VERSIONS)('in room version %s', (version) => {
  const rules = roomVersionRules(version) as RoomVersionRules;
  const strictness = rules.eventFormat.strictCanonicalJson ? 'strict' : 'loose';
  const encode = (object: JsonObject): string => canonicalJson(object, strictness);

  test('they are what one gets by redacting and encoding one after the other', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => {
        expect(eventTexts(pdu, rules)).toEqual({
          hashedJson: encode(without(pdu, 'hashes', 'signatures', 'unsigned')),
          signedJson: encode(without(redact(pdu, rules), 'signatures')),
          skeletonJson: encode(splitPdu(pdu, rules).skeleton),
          sizeBytes: Buffer.byteLength(encode(pdu)),
        });
      }),
    );
  });

  test('checks that are given them say the same as without', () => {
    fc.assert(
      fc.property(anyPdu, fc.boolean(), (unsigned, isSigned) => {
        const event = { ...unsigned, event_id: '$one:example.org' };
        const signed = signJson(redact(event as Pdu, rules), 'example.org', KEY);
        const pdu = { ...event, signatures: isSigned ? signed.signatures : event.signatures } as Pdu;
        const texts = eventTexts(pdu, rules);
        const { publicKey } = KEY;
        expect(eventIdOf(pdu, rules, texts)).toBe(eventIdOf(pdu, rules));
        expect(hasValidContentHash(pdu, rules, texts)).toBe(hasValidContentHash(pdu, rules));
        expect(verifyEventSignature(pdu, rules, 'example.org', KEY.keyId, publicKey, texts)).toBe(isSigned);
        expect(verifyEventSignature(pdu, rules, 'example.org', KEY.keyId, publicKey)).toBe(isSigned);
      }),
    );
  });

  test('there are none of what has no canonical form, wherever that is', () => {
    const pdu = { type: 'x', content: {}, hashes: {}, signatures: {}, unsigned: {} };
    for (const key of Object.keys(pdu)) {
      expect(() => eventTexts({ ...pdu, [key]: { a: '\ud800' } }, rules)).toThrow(CanonicalJsonError);
    }
  });
});
