import type { Erasure } from '#projections/compliance/queries.ts';
import type { Erasures } from '#src/compliance/erasure.ts';

/** A request for erasure as JSON, without its certificate. */
export function erasureJson(erasures: Erasures, erasure: Erasure): object {
  const { id, userId, state, holdIds, by, reason, caseId, requestedAtMs } = erasure;
  return {
    erasure_id: id,
    user_id: userId,
    state,
    is_running: erasures.isRunning(id),
    hold_ids: holdIds,
    requested_by: by,
    requested_at: new Date(requestedAtMs).toISOString(),
    reason,
    case_id: caseId,
    failure: erasures.failureOf(id) ?? null,
  };
}
