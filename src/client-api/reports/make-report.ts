import { REPORTS_STREAM, type ReportMade, reportRecord } from '#projections/reports/records.ts';
import type { Context } from '#src/context.ts';
import { MatrixError } from '#src/http/errors.ts';

/** Longest reason, in bytes. */
const MAX_REASON_BYTES = 16 * 1024;

/** Puts a report where moderators find it. @throws {MatrixError} `M_TOO_LARGE` */
export async function makeReport(
  { commands, newRecordId, evidence }: Pick<Context, 'commands' | 'newRecordId' | 'evidence'>,
  report: ReportMade,
): Promise<void> {
  if (Buffer.byteLength(report.reason ?? '') > MAX_REASON_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `A reason may have at most ${MAX_REASON_BYTES} bytes.`);
  }
  // First: whoever looks at the report finds it, whatever becomes of the original.
  await evidence.captureReported(report.target, report.reporter);
  await commands.run(REPORTS_STREAM, () => ({ records: [reportRecord(newRecordId(), report)], result: undefined }));
}
