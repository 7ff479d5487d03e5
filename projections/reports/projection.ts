/** Reports of rooms, events and users, for moderators to read. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader, Writer } from '#projections/engine/reader.ts';
import { defineTable, empty, msgpack, str, tuple, u48 } from '#projections/engine/table.ts';
import type { LogRecord, Position } from '#streams/event-log.ts';
import {
  REPORT_CHANGED,
  REPORT_MADE,
  type ReportState,
  type ReportTarget,
  readReport,
  readReportChanged,
} from './records.ts';

/** What became of a report, step by step. */
export interface ReportStep {
  readonly state: ReportState;
  /** Who did it, as the audit log names them. */
  readonly by: string;
  readonly note: string | null;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** A report as moderators see it. */
export interface ReportRow {
  readonly reporter: string;
  readonly target: ReportTarget;
  readonly reason: string | null;
  /** When it came in: milliseconds since the epoch, by this server's clock. */
  readonly receivedAtMs: number;
  readonly state: ReportState;
  /** Who claimed it; null while nobody has. */
  readonly claimedBy: string | null;
  /** All changes but the last {@link MAX_STEPS} are in the log only. */
  readonly steps: readonly ReportStep[];
}

/** Changes of one report that are kept with it. */
export const MAX_STEPS = 100;

/** A report with its id: the position of its record. */
export interface Report extends ReportRow {
  readonly id: Position;
}

const reports = defineTable({
  name: 'reports.reports',
  key: tuple<[report: number]>(u48),
  value: msgpack<ReportRow>(),
  why: 'Moderators read reports as they came in, the newest first, and one by its id.',
  hide: ([report], row, { positions }) => (positions.has(report) ? { ...row, reason: null } : row),
});

const reportsAbout = defineTable({
  name: 'reports.about',
  key: tuple<[about: string, report: number]>(str, u48),
  value: empty,
  why: 'The reports about one room or one user, of which an event has both: the first character of the id tells which it is.',
});

const reportsOfKind = defineTable({
  name: 'reports.of-kind',
  key: tuple<[kind: string, report: number]>(str, u48),
  value: empty,
  why: 'Lists are of one kind; their pages are counted off by keys alone.',
});

const reportCounts = defineTable({
  name: 'reports.counts',
  key: tuple<[kind: string]>(str),
  value: u48,
  why: 'Lists say how many there are altogether.',
});

export const reportsProjection: Projection = {
  name: 'reports',
  version: 3,
  tables: [reports, reportsAbout, reportsOfKind, reportCounts],
  apply(tx, record) {
    if (record.kind === REPORT_CHANGED) {
      applyChange(tx, record);
      return;
    }
    const read = record.kind === REPORT_MADE ? readReport(record) : undefined;
    if (read === undefined) return;
    const { reporter, target, reason = null } = read;
    const receivedAtMs = record.recordedAtMs;
    const begin = { state: 'open', claimedBy: null, steps: [] } as const;
    tx.put(reports, [record.position], { reporter, target, reason, receivedAtMs, ...begin });
    for (const about of subjectsOf(target)) tx.put(reportsAbout, [about, record.position], true);
    tx.put(reportsOfKind, [target.kind, record.position], true);
    tx.put(reportCounts, [target.kind], (tx.get(reportCounts, [target.kind]) ?? 0) + 1);
  },
};

function applyChange(tx: Writer, record: LogRecord): void {
  const change = readReportChanged(record);
  const row = change && tx.get(reports, [change.report]);
  if (change === undefined || row === undefined) return;
  const { report, state, by, note = null } = change;
  if (state === 'removed') {
    tx.remove(reports, [report]);
    for (const about of subjectsOf(row.target)) tx.remove(reportsAbout, [about, report]);
    const { kind } = row.target;
    tx.remove(reportsOfKind, [kind, report]);
    tx.put(reportCounts, [kind], (tx.get(reportCounts, [kind]) ?? 1) - 1);
    return;
  }
  tx.put(reports, [report], {
    ...row,
    state,
    claimedBy: state === 'claimed' ? by : state === 'resolved' ? row.claimedBy : null,
    steps: [...row.steps, { state, by, note, atMs: record.recordedAtMs }].slice(-MAX_STEPS),
  });
}

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

/** The report of an id. */
export function findReport(reader: Reader, id: Position): Report | undefined {
  const row = reader.get(reports, [id]);
  return row && { id, ...row };
}

/** What a report is about. */
export type ReportKind = ReportTarget['kind'];

const KINDS = ['event', 'room', 'user'] as const satisfies readonly ReportKind[];

/** How many reports there are, of one kind or altogether. */
export function reportCount(reader: Reader, kind: ReportKind | undefined): number {
  const kinds: readonly ReportKind[] = kind === undefined ? KINDS : [kind];
  return kinds.reduce((sum, one) => sum + (reader.get(reportCounts, [one]) ?? 0), 0);
}

/** Which reports to give, and in which order. */
export interface ReportsQuery {
  /** Only those about this room, or this user. */
  readonly about?: string | undefined;
  /** Only those of this kind; not looked at where `about` is given. */
  readonly kind?: ReportKind | undefined;
  /** Only those beyond this one, in the order of reading. */
  readonly after?: Position | undefined;
  /** The newest first. */
  readonly isReversed: boolean;
  readonly limit: number;
}

/** Ids of reports in the order in which they came in, or the other way round. */
export function reportIds(reader: Reader, { about, kind, after, isReversed, limit }: ReportsQuery): Position[] {
  const order = { reverse: isReversed, limit };
  const beyond = <const Key extends readonly unknown[]>(key: Key) => (isReversed ? { lt: key } : { gt: key });
  if (about === undefined && kind === undefined) {
    const bound = after === undefined ? {} : beyond([after] as const);
    return Array.from(reader.keys(reports, { ...bound, ...order }), ([id]) => id);
  }
  const table = about === undefined ? reportsOfKind : reportsAbout;
  const prefix = [about ?? kind ?? ''] as const;
  const bound = after === undefined ? {} : beyond([...prefix, after] as const);
  return Array.from(reader.keys(table, { prefix, ...bound, ...order }), ([, id]) => id);
}
