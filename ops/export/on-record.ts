import { userInfo } from 'node:os';
import type { Config } from '#src/config/schema.ts';
import { askServer } from '../cli/operator-request.ts';
import { ExportRefused } from './errors.ts';

/** What is put on record of an export. */
export interface ExportOnRecord {
  readonly caseId: string;
  readonly reason: string;
  readonly users: readonly string[];
  readonly rooms: readonly string[];
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  readonly folder: string;
}

/** Has an export put on record in the audit log, durably, before anything is read. @throws {ExportRefused} where it cannot be */
export async function recordExport(config: Config, entry: ExportOnRecord): Promise<void> {
  const { caseId, reason, users, rooms, fromMs, toMs, folder } = entry;
  const { status, body } = await askServer(config, '/_stele/operator/exports', {
    case_id: caseId,
    reason,
    operator: userInfo().username,
    query: {
      users,
      rooms,
      ...(fromMs !== undefined && { from_ms: fromMs }),
      ...(toMs !== undefined && { to_ms: toMs }),
    },
    folder,
  });
  if (status !== 200) throw new ExportRefused(`the export could not be put on record: ${String(body['error'])}`);
}
