import type { RoomVersionRules } from './room-version.ts';

/** Longest that a key is trusted beyond now, whatever its server says, in milliseconds: 7 days. */
export const MAX_KEY_VALIDITY_MS = 7 * 24 * 60 * 60 * 1000;

/** Until when a server vouches for a signing key, in milliseconds since the epoch. */
export type KeyValidity =
  /** A key in use: `valid_until_ts` of the server's answer. */
  | { readonly validUntilTs: number }
  /** A key that is no longer used: its `expired_ts`. */
  | { readonly expiredTs: number };

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
