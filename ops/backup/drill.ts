/**
 * A restore drill: restores a backup to a temporary folder, with all that a restore verifies, builds the projections a second time
 * from the restored log and compares them byte for byte, and takes the folder away again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { BackupDrilled } from '#projections/backups/records.ts';
import { coreProjections } from '#projections/catalogue.ts';
import { check } from '#projections/engine/replay.ts';
import { dataPaths } from '#src/data-paths.ts';
import { diskFiles } from '#streams/embedded/files.ts';
import { Damaged } from '#streams/event-log.ts';
import { MasterKeyProblem } from '#streams/keyring/master-key.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { findGeneration } from './repository.ts';
import { type RestoreOptions, restoreBackup } from './restore.ts';
import { BackupProblem } from './stored-files.ts';

/** Differences between projections that are named. */
const MAX_NAMED_DIFFERENCES = 10;

/** What is drilled: all that a restore takes but where to. */
export interface DrillOptions extends Omit<RestoreOptions, 'to'> {
  /** Where the temporary folder is made; default the system's. It takes as much room as the data folder. */
  readonly temporaryFolder?: string;
}

/** See the file's comment. What is wrong with the backup is in the result. @throws {BackupProblem} where there is none. */
export async function drillBackup(options: DrillOptions): Promise<BackupDrilled> {
  const startedMs = performance.now();
  const { id: generation, records } = await findGeneration(options.files ?? diskFiles, options.folder, {
    ...(options.generation !== undefined && { id: options.generation }),
    ...(options.trustedKey !== undefined && { trustedKey: options.trustedKey }),
  });
  const temporary = await mkdtemp(path.join(options.temporaryFolder ?? tmpdir(), 'stele-drill-'));
  const seconds = () => Number(((performance.now() - startedMs) / 1000).toFixed(3));
  try {
    const to = path.join(temporary, 'data');
    const report = await restoreBackup({ ...options, to });
    const findings = [
      ...report.missingMedia.map((digest) => `the file of media ${digest} is not in the backup`),
      ...(await replayFindings(to, options.signal)),
    ];
    return {
      generation,
      passed: findings.length === 0,
      records: report.records,
      firstVerifiedCheckpoint: report.firstVerifiedCheckpoint ?? null,
      seconds: seconds(),
      findings,
    };
  } catch (error) {
    const isFinding = error instanceof BackupProblem || error instanceof Damaged || error instanceof MasterKeyProblem;
    if (!isFinding) throw error;
    const findings = [error.message];
    return { generation, passed: false, records, firstVerifiedCheckpoint: null, seconds: seconds(), findings };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function replayFindings(dataDir: string, signal: AbortSignal | undefined): Promise<string[]> {
  const paths = dataPaths(dataDir);
  const log = await openLogReadOnly({ folder: paths.log });
  try {
    const result = await check({
      dir: paths.projections,
      projections: coreProjections,
      log,
      maxDifferences: MAX_NAMED_DIFFERENCES,
      ...(signal && { signal }),
    });
    return result.tables
      .filter(({ differences }) => differences > 0)
      .map(({ table, differences }) => `${table}: ${differences} rows differ when the log is replayed`);
  } finally {
    await log.close();
  }
}
