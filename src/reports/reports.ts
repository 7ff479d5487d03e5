/** What moderators do with reports: who takes one on, how it ends, and whether somebody appeals. */
import type { Reader } from '#projections/engine/reader.ts';
import { findReport, type Report } from '#projections/reports/projection.ts';
import { REPORTS_STREAM, type ReportState, reportChangedRecord } from '#projections/reports/records.ts';
import type { StreamCommands } from '#src/commands/stream-command.ts';
import { MatrixError, notFound } from '#src/http/errors.ts';
import type { Position } from '#streams/event-log.ts';

/** Longest note, in bytes. */
export const MAX_NOTE_BYTES = 16 * 1024;
/** Positions that fit into a key. */
const MAX_POSITION = 2 ** 48 - 1;

interface Step {
  readonly from: readonly ReportState[];
  readonly to: ReportState;
}

/** What can be done with a report, and when. Somebody else may claim what is claimed: people fall ill. */
export const REPORT_STEPS = {
  claim: { from: ['open', 'claimed', 'appealed'], to: 'claimed' },
  resolve: { from: ['open', 'claimed', 'appealed'], to: 'resolved' },
  appeal: { from: ['resolved'], to: 'appealed' },
  reopen: { from: ['claimed', 'resolved', 'appealed'], to: 'open' },
  remove: { from: ['open', 'claimed', 'resolved', 'appealed'], to: 'removed' },
} as const satisfies Readonly<Record<string, Step>>;

export type ReportStepName = keyof typeof REPORT_STEPS;

export interface ReportsParts {
  readonly commands: StreamCommands;
  readonly reader: Reader;
  readonly newRecordId: () => Uint8Array;
}

/** A report by its id. @throws {MatrixError} `M_NOT_FOUND` */
export function reportById(reader: Reader, id: Position): Report {
  const report = Number.isSafeInteger(id) && id >= 0 && id <= MAX_POSITION ? findReport(reader, id) : undefined;
  if (report === undefined) throw notFound('There is no such report.');
  return report;
}

/**
 * Takes one step with a report.
 * @param by who does, as the audit log names them.
 * @throws {MatrixError} `M_NOT_FOUND`; `M_BAD_STATE` for a step that is not one from where the report is; `M_TOO_LARGE`
 */
export async function stepReport(
  { commands, reader, newRecordId }: ReportsParts,
  id: Position,
  step: ReportStepName,
  { by, note }: { readonly by: string; readonly note: string | undefined },
): Promise<Report | undefined> {
  if (Buffer.byteLength(note ?? '') > MAX_NOTE_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `A note may have at most ${MAX_NOTE_BYTES} bytes.`);
  }
  await commands.run(REPORTS_STREAM, () => {
    const { from, to } = REPORT_STEPS[step] as Step;
    const { state } = reportById(reader, id);
    if (!from.includes(state)) throw new MatrixError('M_BAD_STATE', `The report is ${state}; that does not go.`);
    return { records: [reportChangedRecord(newRecordId(), { report: id, state: to, by, note })], result: undefined };
  });
  return findReport(reader, id);
}

/** The room that a report is about; undefined for one about a user. */
export function roomOfReport({ target }: Report): string | undefined {
  return target.kind === 'user' ? undefined : target.roomId;
}
