import { describe, expect, test } from 'vitest';
import { decodeBase64 } from './base64.ts';
import {
  contentHash,
  eventIdOf,
  hasValidContentHash,
  MissingRoomIdError,
  referenceHash,
  roomIdOfCreateEvent,
} from './hashing.ts';
import type { JsonObject, Pdu } from './pdu.ts';
import { redact } from './redaction.ts';
import { type RoomVersionRules, roomVersionRules } from './room-version.ts';
import { signingKeyFromSeed, signJson, verifyEventSignature } from './signing.ts';

function rulesOf(version: string): RoomVersionRules {
  const rules = roomVersionRules(version);
  if (rules === undefined) throw new Error(`room version ${version} is missing`);
  return rules;
}

const V11 = rulesOf('11');
const V12 = rulesOf('12');

/** The published vectors are from before room version 11, when redaction kept `origin`. */
const KEEPS_ORIGIN: RoomVersionRules = {
  ...V11,
  redaction: { ...V11.redaction, keptKeys: [...V11.redaction.keptKeys, 'origin'] },
};

const KEY = signingKeyFromSeed(
  'ed25519:1',
  decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1') ?? new Uint8Array(),
);

const MINIMAL: JsonObject = {
  room_id: '!x:domain',
  sender: '@a:domain',
  origin: 'domain',
  origin_server_ts: 1000000,
  signatures: {},
  hashes: {},
  type: 'X',
  content: {},
  prev_events: [],
  auth_events: [],
  depth: 3,
  unsigned: { age_ts: 1000000 },
};

const REDACTABLE: JsonObject = {
  content: { body: 'Here is the message content' },
  event_id: '$0:domain',
  origin: 'domain',
  origin_server_ts: 1000000,
  type: 'm.room.message',
  room_id: '!r:domain',
  sender: '@u:domain',
  signatures: {},
  unsigned: { age_ts: 1000000 },
};

describe('the event signing vectors of the specification', () => {
  test.each([
    [
      'minimal event',
      MINIMAL,
      '5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos',
      'KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg',
    ],
    [
      'event with redactable content',
      REDACTABLE,
      'onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g',
      'Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA',
    ],
  ])('%s', (_name, event, expectedHash, expectedSignature) => {
    const sha256 = contentHash(event);
    expect(sha256).toBe(expectedHash);
    const hashed = { ...event, hashes: { sha256 } } as unknown as Pdu;
    const signed = signJson(redact(hashed, KEEPS_ORIGIN), 'domain', KEY);
    expect(signed.signatures).toEqual({ domain: { 'ed25519:1': expectedSignature } });
    const pdu: Pdu = { ...hashed, signatures: signed.signatures };
    expect(verifyEventSignature(pdu, KEEPS_ORIGIN, 'domain', 'ed25519:1', KEY.publicKey)).toBe(true);
    expect(verifyEventSignature(pdu, V11, 'domain', 'ed25519:1', KEY.publicKey)).toBe(false);
    expect(hasValidContentHash(pdu)).toBe(true);
  });
});

const CREATE: Pdu = {
  type: 'm.room.create',
  state_key: '',
  sender: '@alice:example.org',
  content: { room_version: '12' },
  origin_server_ts: 1,
  depth: 1,
  prev_events: [],
  auth_events: [],
  hashes: { sha256: 'x' },
  signatures: {},
};

describe('ids', () => {
  test('an event id covers what redaction keeps, and neither signatures nor unsigned', () => {
    const id = eventIdOf(CREATE, V12);
    expect(id).toMatch(/^\$[A-Za-z0-9_-]{43}$/);
    expect(eventIdOf({ ...CREATE, unsigned: { age: 1 }, signatures: { a: { b: 'c' } }, extra: 1 }, V12)).toBe(id);
    expect(eventIdOf({ ...CREATE, content: {} }, V12)).not.toBe(id);
    expect(`$${referenceHash(redact(CREATE, V12))}`).toBe(id);
  });

  test('the room id of version 12 is the create event id with another sigil', () => {
    expect(roomIdOfCreateEvent(CREATE, V12)).toBe(`!${eventIdOf(CREATE, V12).slice(1)}`);
  });

  test('the room id of version 11 is the one in the create event', () => {
    expect(roomIdOfCreateEvent({ ...CREATE, room_id: '!room:example.org' }, V11)).toBe('!room:example.org');
    expect(() => roomIdOfCreateEvent(CREATE, V11)).toThrow(MissingRoomIdError);
  });
});

describe('hasValidContentHash', () => {
  const pdu: Pdu = { ...CREATE, hashes: { sha256: contentHash(CREATE) } };

  test('holds with and without padding, whatever the signatures and unsigned', () => {
    expect(hasValidContentHash(pdu)).toBe(true);
    expect(hasValidContentHash({ ...pdu, hashes: { sha256: `${pdu.hashes.sha256}=` } })).toBe(true);
    const [last] = pdu.hashes.sha256.slice(-1);
    const withUnusedBits = String.fromCharCode((last?.charCodeAt(0) ?? 0) + 1);
    expect(hasValidContentHash({ ...pdu, hashes: { sha256: pdu.hashes.sha256.slice(0, -1) + withUnusedBits } })).toBe(
      true,
    );
    expect(hasValidContentHash({ ...pdu, unsigned: { age: 1 }, signatures: { a: { b: 'c' } } })).toBe(true);
  });

  test('fails when anything else was changed or taken away', () => {
    expect(hasValidContentHash({ ...pdu, depth: 2 })).toBe(false);
    expect(hasValidContentHash({ ...pdu, extra: 1 })).toBe(false);
    expect(hasValidContentHash({ ...pdu, content: {} })).toBe(false);
  });
});
