import type { Reader } from '#projections/engine/reader.ts';
import { type Report, reportsIn } from '#projections/reports/projection.ts';
import { findRoom, stateContent } from '#projections/rooms/queries.ts';
import { roomOfReport } from '#src/reports/reports.ts';
import type { Standing } from '#src/roles/standing.ts';

/** A report in the shape of Synapse, with what Synapse does not know beside it: where it is, and what became of it. */
export function reportJson(reader: Reader, report: Report): Record<string, unknown> {
  const { id, reporter, target, reason, receivedAtMs, state, claimedBy, steps } = report;
  const base = {
    id,
    received_ts: receivedAtMs,
    reason,
    user_id: reporter,
    state,
    claimed_by: claimedBy,
    history: steps.map(({ state: to, by, note, atMs }) => ({ state: to, by, note, ts: atMs })),
  };
  switch (target.kind) {
    case 'event':
      return {
        ...base,
        score: null,
        event_id: target.eventId,
        sender: target.sender,
        ...roomNames(reader, target.roomId),
      };
    case 'room':
      return { ...base, ...roomNames(reader, target.roomId) };
    case 'user':
      return { ...base, target_user_id: target.userId };
  }
}

function roomNames(reader: Reader, roomId: string): object {
  const room = findRoom(reader, roomId);
  const text = (type: string, member: string): string | null => {
    const value = room && stateContent(reader, room.id, type, '')?.[member];
    return typeof value === 'string' ? value : null;
  };
  return {
    room_id: roomId,
    name: text('m.room.name', 'name'),
    canonical_alias: text('m.room.canonical_alias', 'alias'),
  };
}

/** Which reports somebody wants to see. */
export interface ReportFilter {
  readonly kind?: Report['target']['kind'] | undefined;
  readonly reporter?: string | undefined;
  readonly roomId?: string | undefined;
  /** The sender of the event, or the user who was reported. */
  readonly subject?: string | undefined;
  readonly state?: string | undefined;
}

/** The reports that fit a filter and that a standing reaches: one page of them, and how many there are. */
export function reportPage(
  reader: Reader,
  filter: ReportFilter,
  { rooms }: Standing,
  { from, limit, isReversed }: { readonly from: number; readonly limit: number; readonly isReversed: boolean },
): { readonly reports: Record<string, unknown>[]; readonly total: number; readonly next_token?: number } {
  const reports: Record<string, unknown>[] = [];
  let total = 0;
  for (const report of reportsIn(reader, { about: filter.roomId ?? filter.subject, isReversed })) {
    const room = roomOfReport(report);
    if (rooms !== undefined && (room === undefined || !rooms.includes(room))) continue;
    if (!fits(report, filter)) continue;
    if (total >= from && reports.length < limit) reports.push(reportJson(reader, report));
    total += 1;
  }
  const next = from + reports.length;
  return { reports, total, ...(next < total && { next_token: next }) };
}

function fits(report: Report, { kind, reporter, roomId, subject, state }: ReportFilter): boolean {
  const { target } = report;
  const about = target.kind === 'event' ? target.sender : target.kind === 'user' ? target.userId : undefined;
  return (
    (kind === undefined || target.kind === kind) &&
    (reporter === undefined || report.reporter === reporter) &&
    (roomId === undefined || roomOfReport(report) === roomId) &&
    (subject === undefined || about === subject) &&
    (state === undefined || report.state === state)
  );
}
