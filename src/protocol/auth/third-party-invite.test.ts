import { describe, expect, test } from 'vitest';
import { encodeBase64, encodeBase64Url } from '../base64.ts';
import { parseJsonExactly } from '../json-limits.ts';
import type { JsonObject, JsonValue } from '../pdu.ts';
import { signingKeyFromSeed, signJson } from '../signing.ts';
import { ALICE, BANNED, BOB, BOTH, expectVerdict, judge, MOD, stateEvent } from './room.test-support.ts';
import { MAX_SIGNATURE_TRIALS } from './third-party-invite.ts';

const KEY = signingKeyFromSeed('ed25519:0', new Uint8Array(32).fill(3));
const OTHER_KEY = signingKeyFromSeed('ed25519:0', new Uint8Array(32).fill(4));
const PUBLIC = encodeBase64(KEY.publicKey);

const SIGNED = signJson({ mxid: BOB, token: 'tok' }, 'id.example.org', KEY);

/** As Python signs it: `1.0` is not `1`. */
const WITH_NUMBERS = signJson(
  { mxid: BOB, token: 'tok', n: parseJsonExactly('[1.0,0.5,1e2]') },
  'id.example.org',
  KEY,
  'loose',
);

function pending(content: JsonObject, sender = MOD) {
  return stateEvent('m.room.third_party_invite', 'tok', content, sender);
}

interface Attempt {
  readonly invite?: JsonValue;
  readonly pending?: JsonObject | null;
  readonly target?: string;
  readonly sender?: string;
}

function attempt(
  rules: (typeof BOTH)[number],
  { invite = { signed: SIGNED }, pending: keys = { public_key: PUBLIC }, target = BOB, sender = MOD }: Attempt,
) {
  return judge(
    rules,
    { state: keys === null ? [] : [pending(keys)] },
    { type: 'm.room.member', sender, state_key: target, content: { membership: 'invite', third_party_invite: invite } },
  );
}

describe.each(BOTH)('redeeming an invite by third-party identifier in room version $version', (rules) => {
  test.each<[string, Attempt, string]>([
    ['with the key of the pending invite', {}, 'allow'],
    [
      'with one of its keys',
      { pending: { public_keys: [{ public_key: encodeBase64(OTHER_KEY.publicKey) }, { public_key: PUBLIC }] } },
      'allow',
    ],
    ['with a key in the URL-safe alphabet', { pending: { public_key: encodeBase64Url(KEY.publicKey) } }, 'allow'],
    [
      'among keys that are none',
      { pending: { public_key: 5, public_keys: [null, {}, { public_key: '!' }, { public_key: PUBLIC }] } },
      'allow',
    ],
    ['with numbers as they were signed', { invite: { signed: WITH_NUMBERS } }, 'allow'],
    ['when banned', { target: BANNED }, '4.4.1.1'],
    ['without a signed part', { invite: {} }, '4.4.1.2'],
    ['that is no object', { invite: 'x' }, '4.4.1.2'],
    ['without a token', { invite: { signed: { mxid: BOB } } }, '4.4.1.3'],
    ['without a mxid', { invite: { signed: { token: 'tok' } } }, '4.4.1.3'],
    ['of somebody else', { target: '@carol:b.org' }, '4.4.1.4'],
    ['that is not pending', { pending: null }, '4.4.1.5'],
    ['that somebody else sent', { sender: ALICE }, '4.4.1.6'],
    ['with a key that is not there', { pending: { public_key: encodeBase64(OTHER_KEY.publicKey) } }, '4.4.1.8'],
    ['without any key', { pending: {} }, '4.4.1.8'],
    ['unsigned', { invite: { signed: { mxid: BOB, token: 'tok' } } }, '4.4.1.8'],
    ['changed after signing', { invite: { signed: { ...SIGNED, more: 1 } } }, '4.4.1.8'],
    ['with what cannot be signed', { invite: { signed: { ...SIGNED, more: '\ud800' } } }, '4.4.1.8'],
    [
      'with signatures that are none',
      { invite: { signed: { ...SIGNED, signatures: { a: 1, b: { 'ed25519:0': 1, 'rsa:0': 'AAAA' } } } } },
      '4.4.1.8',
    ],
  ])('%s', (_what, given, rule) => {
    expectVerdict(rules, attempt(rules, given), rule);
  });

  test('tries no more signatures and keys than the bound', () => {
    const keys = (count: number) =>
      Array.from({ length: count }, () => ({ public_key: encodeBase64(OTHER_KEY.publicKey) }));
    const withRightKeyAt = (place: number) =>
      attempt(rules, { pending: { public_keys: [...keys(place - 1), { public_key: PUBLIC }] } });
    expectVerdict(rules, withRightKeyAt(MAX_SIGNATURE_TRIALS), 'allow');
    expectVerdict(rules, withRightKeyAt(MAX_SIGNATURE_TRIALS + 1), '4.4.1.8');
  });
});

test('the key of these tests is not the same in both alphabets', () => {
  expect(encodeBase64Url(KEY.publicKey)).not.toBe(PUBLIC);
});

test('the reason does not repeat the token', () => {
  const [rules] = BOTH;
  const verdict = rules === undefined ? undefined : attempt(rules, { pending: null });
  expect(JSON.stringify(verdict)).not.toContain('tok"');
});
