import type { Config } from '#src/config/schema.ts';
import { MAX_ROOMS } from '#src/operator/record-export.ts';
import { operatorName } from '../cli/operator-name.ts';
import { withServer } from '../cli/operator-request.ts';
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
  /** Ids of the rooms of which something may be in it. */
  readonly roomIds: readonly string[];
}

/** Has an export put on record in the audit log, durably, before anything is read. @throws {ExportRefused} where it cannot be */
export async function recordExport(config: Config, entry: ExportOnRecord): Promise<void> {
  const { caseId, reason, users, rooms, fromMs, toMs, folder, roomIds } = entry;
  await withServer(config, async (ask) => {
    for (let from = 0; from === 0 || from < roomIds.length; from += MAX_ROOMS) {
      const asked = ask('/_stele/operator/exports', {
        case_id: caseId,
        reason,
        operator: operatorName(),
        query: {
          users,
          rooms,
          ...(fromMs !== undefined && { from_ms: fromMs }),
          ...(toMs !== undefined && { to_ms: toMs }),
        },
        folder,
        room_ids: roomIds.slice(from, from + MAX_ROOMS),
      });
      await asked.catch((error: Error) => {
        throw new ExportRefused(`the export could not be put on record: ${error.message}`);
      });
    }
  });
}
