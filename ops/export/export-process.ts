/** A process that makes one export for the server that started it, and ends with that. */
import { constants, setPriority } from 'node:os';
import { dataPaths } from '#src/data-paths.ts';
import type { ExportOrder, ExportSummary } from '#src/exports/exporter.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { readSigner } from '#streams/transparency/signing-key.ts';
import { NotOnThisServer, readDataFolder } from '../rooms/data-folder.ts';
import { ExportRefused } from './errors.ts';
import { exportCase } from './export-case.ts';
import type { FromProcess } from './export-in-process.ts';

/** What the process is told. */
export interface ProcessOrder extends ExportOrder {
  readonly dataDir: string;
  readonly serverName: string;
}

/** How often it is told how far it is, at most. */
const TELL_EVERY_MS = 500;

// What waits for the server goes first.
setPriority(constants.priority.PRIORITY_LOW);
// Nobody is there any more to fetch it.
process.once('disconnect', () => process.exit(1));
process.once('message', (order: ProcessOrder) => {
  make(order)
    .then((summary) => tell({ kind: 'done', summary }))
    .catch((error: unknown) => {
      if (error instanceof ExportRefused || error instanceof NotOnThisServer) {
        tell({ kind: 'refused', why: error.message });
        return;
      }
      throw error;
    })
    .finally(() => {
      process.removeAllListeners('disconnect');
      process.disconnect();
    });
});

async function make({ folder, caseId, query, checkpoint, dataDir, serverName }: ProcessOrder): Promise<ExportSummary> {
  const paths = dataPaths(dataDir);
  const signer = await readSigner(paths.logSigningKey);
  if (signer === undefined) throw new ExportRefused(`${paths.logSigningKey} is missing.`);
  let toldAtMs = 0;
  return readDataFolder(dataDir, async ({ reader }) => {
    const log = await openLogReadOnly({ folder: paths.log });
    try {
      const { counts, encrypted_rooms } = await exportCase({
        folder,
        caseId,
        query,
        data: { reader },
        log,
        transparencyFolder: paths.transparency,
        mediaFolder: paths.media,
        remoteMediaFolder: paths.remoteMedia,
        serverName,
        signer,
        ...(checkpoint !== undefined && { checkpoint }),
        onProgress: (step, done, total) => {
          if (performance.now() - toldAtMs < TELL_EVERY_MS) return;
          toldAtMs = performance.now();
          tell({ kind: 'progress', progress: { step, done, total } });
        },
      });
      const { rooms, records, exported, encrypted_events, destroyed, media, media_missing } = counts;
      return { rooms, records, exported, encrypted_events, destroyed, media, media_missing, encrypted_rooms };
    } finally {
      await log.close();
    }
  });
}

function tell(message: FromProcess): void {
  process.send?.(message);
}
