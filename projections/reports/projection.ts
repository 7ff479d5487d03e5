/** Reports of rooms, events and users, for moderators to read. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';
import { REPORT_MADE, type ReportTarget, readReport } from './records.ts';

/** A report as moderators see it. */
export interface ReportRow {
  readonly reporter: string;
  readonly target: ReportTarget;
  readonly reason: string | null;
  /** When it came in: milliseconds since the epoch, by this server's clock. */
  readonly receivedAtMs: number;
}

/** A report with its id: the position of its record. */
export interface Report extends ReportRow {
  readonly id: Position;
}

const reports = defineTable({
  name: 'reports.reports',
  key: tuple<[report: number]>(u48),
  value: msgpack<ReportRow>(),
  why: 'Moderators read reports as they came in, the newest first, and one by its id.',
});

const reportsAbout = defineTable({
  name: 'reports.about',
  key: tuple<[about: string, report: number]>(str, u48),
  value: empty,
  why: 'The reports about one room or one user, of which an event has both: the first character of the id tells which it is.',
});

export const reportsProjection: Projection = {
  name: 'reports',
  version: 1,
  tables: [reports, reportsAbout],
  apply(tx, record) {
    const read = record.kind === REPORT_MADE ? readReport(record) : undefined;
    if (read === undefined) return;
    const { reporter, target, reason = null } = read;
    tx.put(reports, [record.position], { reporter, target, reason, receivedAtMs: record.recordedAtMs });
    for (const about of subjectsOf(target)) tx.put(reportsAbout, [about, record.position], true);
  },
};

function subjectsOf(target: ReportTarget): string[] {
  switch (target.kind) {
    case 'room':
      return [target.roomId];
    case 'event':
      return [target.roomId, target.sender];
    case 'user':
      return [target.userId];
  }
}

/** Which reports to give. */
export interface ReportsQuery {
  /** Only those about this room, or this user. */
  readonly about?: string | undefined;
  /** Only those that came in before this one. */
  readonly before?: Position | undefined;
  readonly limit: number;
}

/** Reports, the newest first. */
export function listReports(reader: Reader, { about, before, limit }: ReportsQuery): Report[] {
  const order = { reverse: true, limit } as const;
  if (about === undefined) {
    const rows = reader.range(reports, { ...order, ...(before !== undefined && { lt: [before] as const }) });
    return Array.from(rows, ({ key, value }) => ({ id: key[0], ...value }));
  }
  const bound = before === undefined ? {} : { lt: [about, before] as const };
  const found = reader.keys(reportsAbout, { prefix: [about], ...order, ...bound });
  return Array.from(found, ([, id]) => findReport(reader, id)).filter((report) => report !== undefined);
}

/** The report of an id. */
export function findReport(reader: Reader, id: Position): Report | undefined {
  const row = reader.get(reports, [id]);
  return row && { id, ...row };
}

/** How many reports there are, of all or about one room or user. */
export function countReports(reader: Reader, about?: string): number {
  return about === undefined ? reader.count(reports) : reader.count(reportsAbout, { prefix: [about] });
}
