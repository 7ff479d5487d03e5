import type { Grant, ScopedTokenRow } from '#projections/roles/projection.ts';

/** A grant as administrators get it. Times are milliseconds since the epoch. */
export function grantJson(grant: Grant & { readonly isInForce?: boolean }): object {
  return {
    grant_id: grant.grantId,
    user_id: grant.userId,
    role: grant.role,
    rooms: grant.rooms,
    case_id: grant.caseId,
    reason: grant.reason,
    granted_by: grant.grantedBy,
    granted_ts: grant.grantedAtMs,
    expires_ts: grant.expiresAtMs,
    ...(grant.isInForce !== undefined && { in_force: grant.isInForce }),
  };
}

/** A scoped token as administrators get it, without the token. Times are milliseconds since the epoch. */
export function scopedTokenJson(token: ScopedTokenRow): object {
  return {
    token_id: token.tokenId,
    user_id: token.userId,
    role: token.role,
    rooms: token.rooms,
    case_id: token.caseId,
    reason: token.reason,
    created_ts: token.createdAtMs,
    expires_ts: token.expiresAtMs,
  };
}
