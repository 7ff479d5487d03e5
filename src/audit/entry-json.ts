import type { FoundEntry } from '#projections/audit/queries.ts';
import type { Actor } from '#projections/audit/records.ts';

/** An entry as auditors get it, whether by command, HTTP or stream: `at` in ISO 8601, UTC; what does not apply is left out. */
export interface AuditEntryJson {
  /** Its place in the log: `stele proof POSITION` proves that it is there. */
  readonly position: number;
  readonly id: string;
  readonly at: string;
  readonly actor: Readonly<Record<string, string>>;
  readonly action: string;
  readonly outcome: string;
  readonly [member: string]: unknown;
}

/** The JSON of an entry. */
export function auditEntryJson(entry: FoundEntry): AuditEntryJson {
  const { position, id, atMs, actor, action, outcome, target, before, after, ...rest } = entry;
  const { roomId, caseId, reason, ip, of, why, count, areDetailsDestroyed } = rest;
  return {
    position,
    id,
    at: new Date(atMs).toISOString(),
    actor: actorJson(actor),
    action,
    outcome,
    ...(target !== undefined && { target: { kind: target.kind, id: target.id } }),
    ...(roomId !== undefined && { room_id: roomId }),
    ...(reason !== undefined && { reason }),
    ...(caseId !== undefined && { case_id: caseId }),
    ...(ip !== undefined && { ip }),
    ...(of !== undefined && { of }),
    ...(why !== undefined && { why }),
    ...(count !== undefined && { count }),
    ...(before !== undefined && { before }),
    ...(after !== undefined && { after }),
    ...(areDetailsDestroyed && { details_destroyed: true }),
  };
}

function actorJson(actor: Actor): Record<string, string> {
  if (actor.kind !== 'user') return { ...actor };
  const { kind, userId, actingAs, deviceId, tokenId, role, grantId } = actor;
  return {
    kind,
    user_id: userId,
    ...(actingAs !== undefined && { acting_as: actingAs }),
    ...(deviceId !== undefined && { device_id: deviceId }),
    ...(tokenId !== undefined && { token_id: tokenId }),
    ...(role !== undefined && { role }),
    ...(grantId !== undefined && { grant_id: grantId }),
  };
}
