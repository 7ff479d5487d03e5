/**
 * The `report.made` record of the stream `server-reports`: somebody finds a room, an event or a user objectionable. Section 0
 * msgpack `[reporter, roomId | null, eventId | null, userId | null]`, section 1 the reason as text, empty when none was given:
 * its key can be destroyed alone.
 *
 * And what moderators do with it: the `report.changed` record. Section 0 msgpack `[report, state, by]`, where `report` is the
 * position of the report; section 1 the note, as the reason of a report.
 */
import { Packr } from 'msgpackr';
import type { LogRecord, Position, RecordDraft } from '#streams/event-log.ts';
import { recordKinds } from '#streams/kinds.ts';

export const REPORTS_STREAM = 'server-reports';
export const REPORT_MADE = 'report.made';
export const REPORT_CHANGED = 'report.changed';

/** What a report is about. */
export type ReportTarget =
  | { readonly kind: 'room'; readonly roomId: string }
  | { readonly kind: 'event'; readonly roomId: string; readonly eventId: string; readonly sender: string }
  | { readonly kind: 'user'; readonly userId: string };

export interface ReportMade {
  /** The user who reports. */
  readonly reporter: string;
  readonly target: ReportTarget;
  /** In the reporter's words; undefined where none were given, or they have been erased. */
  readonly reason: string | undefined;
}

type Head = [reporter: string, roomId: string | null, eventId: string | null, userId: string | null];

const packr = new Packr({ useRecords: false });
const decoder = new TextDecoder();

/** The record of a report. */
export function reportRecord(id: Uint8Array, { reporter, target, reason }: ReportMade): RecordDraft {
  return {
    id,
    kind: REPORT_MADE,
    version: recordKinds[REPORT_MADE].version,
    sections: [packr.pack(headOf(reporter, target)), Buffer.from(reason ?? '', 'utf8')],
  };
}

function headOf(reporter: string, target: ReportTarget): Head {
  switch (target.kind) {
    case 'room':
      return [reporter, target.roomId, null, null];
    case 'event':
      return [reporter, target.roomId, target.eventId, target.sender];
    case 'user':
      return [reporter, null, null, target.userId];
  }
}

/** What a `report.made` record says; undefined where the key of its section 0 was destroyed. */
export function readReport(record: LogRecord): ReportMade | undefined {
  const [head, reason] = record.sections;
  if (!head) return undefined;
  const [reporter, roomId, eventId, userId] = packr.unpack(head) as Head;
  return {
    reporter,
    target: targetOf(roomId, eventId, userId),
    reason: reason && reason.length > 0 ? decoder.decode(reason) : undefined,
  };
}

function targetOf(roomId: string | null, eventId: string | null, userId: string | null): ReportTarget {
  if (roomId === null) return { kind: 'user', userId: userId ?? '' };
  return eventId === null ? { kind: 'room', roomId } : { kind: 'event', roomId, eventId, sender: userId ?? '' };
}

/**
 * Where a report is: `open`, waiting for somebody; `claimed`, somebody looks into it; `resolved`; `appealed`, resolved and waiting for
 * somebody again; `removed`, off the list.
 */
export type ReportState = 'open' | 'claimed' | 'resolved' | 'appealed' | 'removed';

/** A change of a report. */
export interface ReportChanged {
  /** Position of the report. */
  readonly report: Position;
  readonly state: ReportState;
  /** Who did it, as the audit log names them. */
  readonly by: string;
  /** In their words; undefined where there are none, or they have been erased. */
  readonly note: string | undefined;
}

/** The record of a change. */
export function reportChangedRecord(id: Uint8Array, { report, state, by, note }: ReportChanged): RecordDraft {
  return {
    id,
    kind: REPORT_CHANGED,
    version: recordKinds[REPORT_CHANGED].version,
    sections: [packr.pack([report, state, by]), Buffer.from(note ?? '', 'utf8')],
  };
}

/** What a `report.changed` record says; undefined where the key of its section 0 was destroyed. */
export function readReportChanged(record: LogRecord): ReportChanged | undefined {
  const [head, note] = record.sections;
  if (!head) return undefined;
  const [report, state, by] = packr.unpack(head) as [Position, ReportState, string];
  return { report, state, by, note: note && note.length > 0 ? decoder.decode(note) : undefined };
}
