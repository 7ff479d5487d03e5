import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { signingKeyFromSeed } from '#protocol/signing.ts';
import { OPENID_TOKEN_LIFETIME_MS, OpenIdTokens } from './openid-tokens.ts';

const ALICE = '@alice:example.org';
let nowMs = 1_700_000_000_000;
const closed = new Set<string>();

function tokens(seed = 1): OpenIdTokens {
  return new OpenIdTokens({
    signingKey: signingKeyFromSeed('ed25519:a', Buffer.alloc(32, seed)),
    clock: () => nowMs,
    random: randomBytes,
    isActive: (userId) => !closed.has(userId),
  });
}

test('a token says whose it is, after a restart too, until an hour has passed', () => {
  const token = tokens().issue(ALICE);
  expect(token).not.toContain('alice');
  expect(tokens().issue(ALICE)).not.toBe(token);
  expect(tokens().verify(token)).toBe(ALICE);
  nowMs += OPENID_TOKEN_LIFETIME_MS - 1;
  expect(tokens().verify(token)).toBe(ALICE);
  nowMs += 1;
  expect(tokens().verify(token)).toBeUndefined();
});

test('a token of another server, a changed one and nonsense are nobody', () => {
  const token = tokens().issue(ALICE);
  expect(tokens(2).verify(token)).toBeUndefined();
  for (let index = 0; index < token.length; index += 1) {
    const changed = `${token.slice(0, index)}${token[index] === 'A' ? 'B' : 'A'}${token.slice(index + 1)}`;
    // The last character of base64url may hold bits that are no part of the bytes.
    if (index < token.length - 1) expect(tokens().verify(changed)).toBeUndefined();
  }
  for (const nonsense of ['', 'stele_oid_', 'stele_oid_AAAA', 'x'.repeat(100_000)]) {
    expect(tokens().verify(nonsense)).toBeUndefined();
  }
});

test('nobody speaks for a closed account', () => {
  const token = tokens().issue(ALICE);
  closed.add(ALICE);
  expect(tokens().verify(token)).toBeUndefined();
});
