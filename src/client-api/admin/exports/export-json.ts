import type { CaseExport, CaseExports } from '#src/exports/case-exports.ts';
import { KEPT_MS } from '#src/exports/case-exports.ts';

/** An export as JSON: what was asked for, how far it is, what is in it. Times are milliseconds since the epoch. */
export function exportJson(exports: CaseExports, one: CaseExport): object {
  const { id, caseId, reason, by, query, requestedAtMs, state, finishedAtMs, summary, error } = one;
  const { users, rooms, fromMs, toMs } = query;
  return {
    export_id: id,
    case_id: caseId,
    reason,
    requested_by: by,
    requested_ts: requestedAtMs,
    query: { users, rooms, from_ts: fromMs, to_ts: toMs },
    state,
    progress: exports.progressOf(id) ?? null,
    finished_ts: finishedAtMs,
    kept_until_ts: finishedAtMs === null ? null : finishedAtMs + KEPT_MS,
    counts: summary,
    error,
  };
}
