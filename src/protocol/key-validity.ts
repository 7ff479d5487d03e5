import type { RoomVersionRules } from './room-version.ts';

/** Longest that a key is trusted without hearing of it again, whatever its server says, in milliseconds: 7 days. */
export const MAX_KEY_VALIDITY_MS = 7 * 24 * 60 * 60 * 1000;

/** Until when a server vouches for a signing key, in milliseconds since the epoch. */
export type KeyValidity =
  /** A key in use: `valid_until_ts` of the server's answer. */
  | { readonly validUntilTs: number }
  /** A key that is no longer used: its `expired_ts`. */
  | { readonly expiredTs: number };

/**
 * Until when a key in use is trusted that was heard of at some time. Somebody who had a server for a moment could else promise a
 * key for a hundred years, and whoever has it now could never take that back.
 * Source: server-server API, "Publishing Keys", `valid_until_ts`.
 */
export function trustedUntil(validUntilTs: number, heardAtMs: number): number {
  return Math.min(validUntilTs, heardAtMs + MAX_KEY_VALIDITY_MS);
}

/**
 * Whether a signing key counts for an event, by the time that the event claims. Before room version 5 every key that
 * its server ever had does.
 * Source: rooms/v5, "Signing key validity period"; server-server API, "Publishing Keys".
 *
 * @param nowMs the time of receipt.
 */
export function keyCountsFor(
  key: KeyValidity,
  originServerTs: number,
  nowMs: number,
  rules: RoomVersionRules,
): boolean {
  if (!rules.enforceKeyValidity) return true;
  if ('expiredTs' in key) return originServerTs <= key.expiredTs;
  return originServerTs <= Math.min(key.validUntilTs, nowMs + MAX_KEY_VALIDITY_MS);
}
