/**
 * Secrets that the server hands out. They are random, and only their SHA-256 is kept: with 256 bits of randomness nothing
 * slower is needed, and what is stored cannot be used.
 */
import { hash, timingSafeEqual } from 'node:crypto';

/** Gives that many random bytes of cryptographic quality. */
export type RandomBytes = (count: number) => Uint8Array;

/** Access tokens begin with this, so that scanners for leaked secrets recognise them. */
const ACCESS_TOKEN_PREFIX = 'stele_at_';
const REFRESH_TOKEN_PREFIX = 'stele_rt_';
const TOKEN_BYTES = 32;
/** Longest token that is looked at: longer ones cannot be ours. */
export const MAX_TOKEN_LENGTH = 128;

const DEVICE_ID_LENGTH = 10;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

const LOCALPART_LENGTH = 12;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

const STREAM_ID_BYTES = 16;
const SESSION_ID_BYTES = 18;

/** A new access token. */
export function newAccessToken(random: RandomBytes): string {
  return ACCESS_TOKEN_PREFIX + base64url(random(TOKEN_BYTES));
}

/** A new refresh token. */
export function newRefreshToken(random: RandomBytes): string {
  return REFRESH_TOKEN_PREFIX + base64url(random(TOKEN_BYTES));
}

/** What is kept of a token: its SHA-256, 32 bytes. */
export function tokenHash(token: string): Buffer {
  return Buffer.from(hash('sha256', token, 'base64url'), 'base64url');
}

/** A new device id: ten capital letters, easy to compare by eye. */
export function newDeviceId(random: RandomBytes): string {
  let id = '';
  while (id.length < DEVICE_ID_LENGTH) {
    for (const byte of random(DEVICE_ID_LENGTH)) {
      // Bytes beyond the last whole alphabet would make some letters likelier than others.
      if (byte < 26 * 9 && id.length < DEVICE_ID_LENGTH) id += LETTERS[byte % 26];
    }
  }
  return id;
}

/** A localpart for somebody who did not ask for one. */
export function newLocalpart(random: RandomBytes): string {
  let localpart = '';
  for (const byte of random(LOCALPART_LENGTH)) localpart += BASE32[byte & 31];
  return localpart;
}

/** The name of a new user's stream. */
export function newUserStream(random: RandomBytes): string {
  return `user-${base64url(random(STREAM_ID_BYTES))}`;
}

/** An opaque id nobody can guess: of a user-interactive session, a nonce, a registration token. */
export function newOpaqueId(random: RandomBytes): string {
  return base64url(random(SESSION_ID_BYTES));
}

/** Compares two texts in time that depends only on their lengths. */
export function equalInConstantTime(a: string, b: string): boolean {
  const left = Buffer.from(a, 'utf8');
  const right = Buffer.from(b, 'utf8');
  return left.length === right.length && timingSafeEqual(left, right);
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}
