import type { Reader } from '#projections/engine/reader.ts';
import { findReport, type Report, reportCount, reportIds } from '#projections/reports/projection.ts';
import { findRoom, stateContent } from '#projections/rooms/queries.ts';
import { roomOfReport } from '#src/reports/reports.ts';
import type { Standing } from '#src/roles/standing.ts';
import { sharedPacer } from '#src/sync/pacer.ts';
import type { Position } from '#streams/event-log.ts';

/** Reports that are looked at before others get their turn, as far as it is due. */
const REPORTS_A_STEP = 200;

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

/** One page of reports, and how many there are altogether. */
export interface ReportPage {
  readonly reports: Record<string, unknown>[];
  readonly total: number;
  readonly next_token?: number;
}

/** The reports that fit a filter and that a standing reaches. Where neither leaves any out, only those of the page are read. */
export async function reportPage(
  reader: Reader,
  filter: ReportFilter,
  { rooms }: Standing,
  { from, limit, isReversed }: { readonly from: number; readonly limit: number; readonly isReversed: boolean },
): Promise<ReportPage> {
  const { kind, reporter, roomId, subject, state } = filter;
  const about = roomId ?? subject;
  const isWhole = [about, rooms, reporter, state].every((limited) => limited === undefined);
  const isReached = (report: Report): boolean => {
    const room = roomOfReport(report);
    return (rooms === undefined || (room !== undefined && rooms.includes(room))) && fits(report, filter);
  };
  const reports: Record<string, unknown>[] = [];
  let passed = 0;
  let after: Position | undefined;
  for (;;) {
    const ids = reportIds(reader, { about, kind, after, isReversed, limit: REPORTS_A_STEP });
    for (const id of ids) {
      const isOfPage = passed >= from && reports.length < limit;
      const report = isOfPage || !isWhole ? findReport(reader, id) : undefined;
      if (!isWhole && (report === undefined || !isReached(report))) continue;
      if (isOfPage && report !== undefined) reports.push(reportJson(reader, report));
      passed += 1;
    }
    after = ids.at(-1);
    if (ids.length < REPORTS_A_STEP || (isWhole && passed >= from + limit)) break;
    if (sharedPacer.isDue) await sharedPacer.pause();
  }
  const total = isWhole ? reportCount(reader, kind) : passed;
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
