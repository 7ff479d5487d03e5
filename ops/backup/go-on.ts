/** Lets a restored log go on: the record of the restore, which voids what must not be used twice, and the projections. */
import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { AUDIT_STREAM, auditRecord } from '#projections/audit/records.ts';
import { BACKUP_RESTORED, BACKUPS_STREAM, type BackupRestored, backupRecord } from '#projections/backups/records.ts';
import { coreProjections } from '#projections/catalogue.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { dataPaths } from '#src/data-paths.ts';
import { openLog } from '#streams/open-log.ts';
import type { NoteSigner } from '#streams/transparency/note.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';

const RECORD_ID_BYTES = 16;

/** What {@link goOn} needs. */
export interface RestoredLog {
  readonly dataDir: string;
  readonly signer: NoteSigner;
  readonly restored: BackupRestored;
  readonly onReplay: (done: number, total: number) => void;
}

/** Writes the records, publishes them, builds the projections and lets `work` read them. */
export async function goOn<T>(
  { dataDir, signer, restored, onReplay }: RestoredLog,
  work: (reader: Reader) => Promise<T>,
): Promise<T> {
  const paths = dataPaths(dataDir);
  let transparency: TransparencyLog | undefined;
  const log = await openLog({
    folder: paths.log,
    mustHaveAtLeast: restored.records,
    onCommit: (leaves) => transparency?.add(leaves),
  });
  try {
    transparency = await TransparencyLog.open({
      folder: paths.transparency,
      signer,
      leaves: { size: () => log.head() + 1, readLeaves: (index) => log.readLeaves(index - 1) },
    });
    await log.append(BACKUPS_STREAM, await log.revisionOf(BACKUPS_STREAM), [
      backupRecord(randomBytes(RECORD_ID_BYTES), { kind: BACKUP_RESTORED, fields: restored }),
    ]);
    const entry = {
      actor: { kind: 'operator', name: userInfo().username },
      action: 'backup.restore',
      outcome: 'allowed',
      target: { kind: 'backup', id: restored.generation },
    } as const;
    await log.append(AUDIT_STREAM, await log.revisionOf(AUDIT_STREAM), [
      auditRecord(randomBytes(RECORD_ID_BYTES), entry, JSON.stringify({ after: restored })),
    ]);
    const engine = await ProjectionEngine.open({
      dir: paths.projections,
      log,
      projections: coreProjections,
      safeCopies: false,
      onProgress: ({ position, head }) => onReplay(position + 1, head + 1),
    });
    try {
      return await work(engine.reader);
    } finally {
      await engine.close();
    }
  } finally {
    await transparency?.close();
    await log.close();
  }
}
