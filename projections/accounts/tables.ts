/** Tables of accounts, devices, tokens, and registration tokens. */
import { bytes, defineTable, empty, msgpack, str, tuple } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';
import type { Lender } from './records.ts';

/** A local account. */
export interface UserRow {
  /** The stream that holds everything of this user. */
  readonly stream: string;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
  readonly isAdmin: boolean;
  /** Has no password, and only a part of the API. */
  readonly isGuest: boolean;
  /** Can read and leave, but not send. */
  readonly isSuspended: boolean;
  /** Can only log out. */
  readonly isLocked: boolean;
  /** What they send goes nowhere, and they are not told. */
  readonly isShadowBanned: boolean;
  /** Until when they may replace their cross-signing keys without confirming it: milliseconds since the epoch; 0 for never. */
  readonly keysReplaceableUntilMs: number;
  /** How much the user may send, where it is not as much as everybody; `perSecond` 0 for no limit on anything. */
  readonly allowance: { readonly perSecond: number; readonly burst: number } | null;
  readonly isDeactivated: boolean;
  /** On deactivation the user asked for erasure. */
  readonly isErased: boolean;
  /** argon2id string; null for no password. */
  readonly passwordHash: string | null;
  /** Position of the record that holds the hash. */
  readonly passwordAt: Position;
}

/** A pair of tokens, as SHA-256 hashes. */
export interface TokenPair {
  readonly access: Uint8Array;
  /** Milliseconds since the epoch; null for never. */
  readonly accessExpiresAtMs: number | null;
  readonly refresh: Uint8Array | null;
  /** Given to a server administrator who acts as the user: roles of the user are not lent with it. */
  readonly isLent?: true;
  /** To whom, and why; missing where that was not recorded yet. */
  readonly lentTo?: Lender;
}

/**
 * A device and its session. After a refresh both pairs are good until a token of the newer one is used; then the older one
 * becomes `spent`, which is only remembered to tell its bearer apart from a stranger.
 */
export interface DeviceRow {
  readonly displayName: string | null;
  readonly createdAtMs: number;
  /** When it was last logged in or refreshed. */
  readonly tokensAtMs: number;
  /** Null for a device that has no session. */
  readonly current: TokenPair | null;
  readonly previous: TokenPair | null;
  readonly spent: TokenPair | null;
}

/** Whose token it is; which of the device's pairs it is of is for the device's row to say. */
export interface TokenRow {
  readonly userId: string;
  readonly deviceId: string;
}

/** A token that lets people register. */
export interface RegistrationTokenRow {
  /** Null for any number. */
  readonly usesAllowed: number | null;
  /** Accounts that were made with it. */
  readonly completed: number;
  readonly expiresAtMs: number | null;
}

/** Bytes of a token's hash. */
export const TOKEN_HASH_BYTES = 32;

export const users = defineTable({
  name: 'accounts.users',
  key: tuple<[userId: string]>(str),
  value: msgpack<UserRow>(),
  why: 'One row an account, read whole when somebody logs in or a token is first seen.',
});

export const guests = defineTable({
  name: 'accounts.guests',
  key: tuple<[userId: string]>(str),
  value: empty,
  why: 'Few accounts are guests; who has to leave a room that admits none is found among them.',
});

export const erased = defineTable({
  name: 'accounts.erased',
  key: tuple<[userId: string]>(str),
  value: empty,
  why: 'Few accounts were closed with the wish to be forgotten; whoever reads history is asked for each event of others.',
});

export const userStreams = defineTable({
  name: 'accounts.user-streams',
  key: tuple<[stream: string]>(str),
  value: str,
  why: 'A user record names only its random stream; this says whose stream it is.',
});

export const devices = defineTable({
  name: 'accounts.devices',
  key: tuple<[userId: string, deviceId: string]>(str, str),
  value: msgpack<DeviceRow>(),
  why: "All devices of a user are one range; a device's row says which of its tokens are good, so they change together.",
  hide: ([userId], device, { users }) => (users.has(userId) ? { ...device, displayName: null } : device),
});

export const accessTokens = defineTable({
  name: 'accounts.access-tokens',
  key: tuple<[hash: Uint8Array]>(bytes(TOKEN_HASH_BYTES)),
  value: msgpack<TokenRow>(),
  why: 'Finds the device of a token; the tokens themselves are not kept.',
});

export const refreshTokens = defineTable({
  name: 'accounts.refresh-tokens',
  key: tuple<[hash: Uint8Array]>(bytes(TOKEN_HASH_BYTES)),
  value: msgpack<TokenRow>(),
  why: 'Apart from access tokens, so that one can never be taken for the other.',
});

export const registrationTokens = defineTable({
  name: 'accounts.registration-tokens',
  key: tuple<[token: string]>(str),
  value: msgpack<RegistrationTokenRow>(),
  why: 'Few rows, looked up by the token itself and listed by administrators.',
});

export const departing = defineTable({
  name: 'accounts.departing',
  key: tuple<[userId: string]>(str),
  value: empty,
  why: 'Closed accounts that are still in rooms: the work that a restart takes up again.',
});
