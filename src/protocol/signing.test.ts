import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalObject } from './arbitraries.test-support.ts';
import { decodeBase64 } from './base64.ts';
import type { JsonObject, Pdu } from './pdu.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';
import {
  formatSigningKeyFile,
  parseSigningKeyFile,
  requiredSigners,
  SigningKeyFileError,
  signingKeyFromSeed,
  signingKeyIdsOf,
  signJson,
  verifySignature,
  verifySignedJson,
} from './signing.ts';

const SEED = decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1') ?? new Uint8Array();
const KEY = signingKeyFromSeed('ed25519:1', SEED);
const V12 = roomVersionRules('12') as RoomVersionRules;

describe('signing JSON', () => {
  test.each<[JsonObject, string]>([
    [{}, 'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ'],
    [{ one: 1, two: 'Two' }, 'KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw'],
  ])('signs %j as the specification does', (object, signature) => {
    expect(signJson(object, 'domain', KEY)).toEqual({ ...object, signatures: { domain: { 'ed25519:1': signature } } });
  });

  test('keeps unsigned and the signatures that are there', () => {
    const other = signingKeyFromSeed('ed25519:2', new Uint8Array(32));
    const once = signJson({ a: 1, unsigned: { age: 1 } }, 'domain', other);
    const twice = signJson(signJson(once, 'domain', KEY), 'constructor', KEY);
    expect(twice.unsigned).toEqual({ age: 1 });
    expect(verifySignedJson(twice, 'domain', 'ed25519:2', other.publicKey)).toBe(true);
    expect(verifySignedJson(twice, 'domain', 'ed25519:1', KEY.publicKey)).toBe(true);
    expect(verifySignedJson(twice, 'constructor', 'ed25519:1', KEY.publicKey)).toBe(true);
    expect(signingKeyIdsOf(twice, 'domain')).toEqual(['ed25519:2', 'ed25519:1']);
    expect(once.signatures).toEqual({ domain: { 'ed25519:2': expect.any(String) } });
  });

  test('a signature holds for any object, whatever is unsigned, and for no other object, name, key id or key', () => {
    fc.assert(
      fc.property(canonicalObject, (object) => {
        const signed = signJson(object, 'domain', KEY);
        expect(verifySignedJson({ ...signed, unsigned: { x: 1 } }, 'domain', 'ed25519:1', KEY.publicKey)).toBe(true);
        expect(verifySignedJson({ ...signed, more: 1 }, 'domain', 'ed25519:1', KEY.publicKey)).toBe(false);
        expect(verifySignedJson(signed, 'other', 'ed25519:1', KEY.publicKey)).toBe(false);
        expect(verifySignedJson(signed, 'domain', 'ed25519:2', KEY.publicKey)).toBe(false);
        expect(verifySignedJson(signed, 'domain', 'ed25519:1', new Uint8Array(32))).toBe(false);
      }),
    );
  });

  test.each<[string, unknown]>([
    ['none', undefined],
    ['no object', 'x'],
    ['no block', {}],
    ['a block that is no object', { domain: 'x' }],
    ['what objects inherit', { domain: {} }],
    ['no string', { domain: { 'ed25519:1': 5 } }],
    ['no base64', { domain: { 'ed25519:1': '!!!' } }],
    ['too short', { domain: { 'ed25519:1': 'AAAA' } }],
  ])('signatures that are %s do not verify', (_name, signatures) => {
    const object = { a: 1, signatures } as JsonObject;
    expect(verifySignedJson(object, 'domain', 'ed25519:1', KEY.publicKey)).toBe(false);
    expect(verifySignedJson(object, 'constructor', 'name', KEY.publicKey)).toBe(false);
  });

  test('an object without a canonical encoding does not verify', () => {
    const signed = signJson({ a: 1 }, 'domain', KEY);
    expect(verifySignedJson({ ...signed, a: 0.5 }, 'domain', 'ed25519:1', KEY.publicKey)).toBe(false);
  });

  test('keys of the wrong length are refused', () => {
    expect(() => signingKeyFromSeed('ed25519:1', new Uint8Array(31))).toThrow(RangeError);
    expect(verifySignature(new Uint8Array(1), new Uint8Array(64), new Uint8Array(31))).toBe(false);
    expect(verifySignature(new Uint8Array(1), new Uint8Array(63), KEY.publicKey)).toBe(false);
  });
});

describe('the signing key file', () => {
  test('is read back as it was written', () => {
    const text = formatSigningKeyFile({ keyId: 'ed25519:a_Bc1', seed: new Uint8Array(32).fill(1) });
    expect(text).toBe('ed25519 a_Bc1 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\n');
    expect(parseSigningKeyFile(text)).toEqual({ keyId: 'ed25519:a_Bc1', seed: Buffer.alloc(32, 1) });
  });

  test('may end lines as Windows does and have empty ones', () => {
    expect(parseSigningKeyFile('\r\n  ed25519 a AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE \r\n').keyId).toBe(
      'ed25519:a',
    );
  });

  test.each([
    ['', 'is empty'],
    ['curve25519 a AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE', 'not an Ed25519 key'],
    ['ed25519 a', 'does not have three parts'],
    ['ed25519 a AQEB x', 'does not have three parts'],
    ['ed25519 a-b AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE', 'may hold only letters'],
    ['ed25519 a AQEB', 'is not 32 bytes'],
    ['ed25519 a !!!', 'is not 32 bytes'],
    ['ed25519 a AQEB\ned25519 b AQEB', 'holds 2 keys'],
  ])('%j is refused: %s', (text, complaint) => {
    expect(() => parseSigningKeyFile(text)).toThrow(SigningKeyFileError);
    expect(() => parseSigningKeyFile(text)).toThrow(complaint);
  });
});

describe('requiredSigners', () => {
  const member = (content: JsonObject): Pdu => ({
    type: 'm.room.member',
    room_id: '!r',
    sender: '@alice:a.org',
    state_key: '@alice:a.org',
    content,
    origin_server_ts: 1,
    depth: 1,
    prev_events: [],
    auth_events: [],
    hashes: { sha256: '' },
    signatures: {},
  });

  test.each<[string, JsonObject, string[]]>([
    ['the server of the sender', { membership: 'join' }, ['a.org']],
    [
      'also that of who vouches for a join',
      { membership: 'join', join_authorised_via_users_server: '@bob:b.org' },
      ['a.org', 'b.org'],
    ],
    [
      'nobody who vouched for a join that is left again',
      { membership: 'leave', join_authorised_via_users_server: '@bob:b.org' },
      ['a.org'],
    ],
    ['one server once', { membership: 'join', join_authorised_via_users_server: '@bob:a.org' }, ['a.org']],
    [
      'nobody for an invite by third-party identifier',
      { membership: 'invite', third_party_invite: { signed: {} } },
      [],
    ],
  ])('%s', (_name, content, expected) => {
    expect(requiredSigners(member(content), V12)).toEqual(expected);
  });
});
