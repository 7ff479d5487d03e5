/** Lets a restored log go on: the record of the restore, which voids what must not be used twice, and the projections. */
import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { AUDIT_STREAM, auditRecord } from '#projections/audit/records.ts';
import { BACKUP_RESTORED, BACKUPS_STREAM, type BackupRestored, backupRecord } from '#projections/backups/records.ts';
import { coreProjections } from '#projections/catalogue.ts';
import { complianceRecord, ERASURES_STREAM } from '#projections/compliance/records.ts';
import { packSections } from '#projections/compliance/section-list.ts';
import { ProjectionEngine } from '#projections/engine/engine.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { dataPaths } from '#src/data-paths.ts';
import type { EventLog, Position } from '#streams/event-log.ts';
import { openLog } from '#streams/open-log.ts';
import type { NoteSigner } from '#streams/transparency/note.ts';
import { TransparencyLog } from '#streams/transparency/transparency-log.ts';
import type { ErasureCheck } from '../verify/erasure-check.ts';

const RECORD_ID_BYTES = 16;
/** Items of one record: some 200 KiB. */
const ITEMS_PER_RECORD = 65_536;

/** What {@link goOn} needs. */
export interface RestoredLog {
  readonly dataDir: string;
  readonly signer: NoteSigner;
  readonly restored: BackupRestored;
  /** Where the keyring that was restored is not as the log says. */
  readonly erasures: ErasureCheck;
  readonly onReplay: (done: number, total: number) => void;
}

/** Writes the records, publishes them, builds the projections and lets `work` read them. */
export async function goOn<T>(
  { dataDir, signer, restored, erasures, onReplay }: RestoredLog,
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
    await makeKeyringFit(log, erasures);
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

/**
 * Destroys again what the log itself says is gone, where the keyring is of before that; and puts on record what was destroyed by
 * decisions that are not in what was restored.
 */
async function makeKeyringFit(log: EventLog, { undecided, revived, unfinished }: ErasureCheck): Promise<void> {
  const again = [...revived, ...unfinished];
  await log.destroyKeys(again.flatMap(({ position, sections }) => sections.map((section) => ({ position, section }))));
  let upTo: Position | undefined;
  for (let at = 0; at < undecided.length; at += ITEMS_PER_RECORD) {
    const fields = {
      id: randomBytes(RECORD_ID_BYTES).toString('base64url'),
      cause: 'restore',
      requestId: null,
      why: 'It was destroyed after the moment that was restored, and does not come back.',
      items: packSections(undecided.slice(at, at + ITEMS_PER_RECORD)),
      media: [],
      rooms: [],
    } as const;
    const { lastPosition } = await log.append(ERASURES_STREAM, await log.revisionOf(ERASURES_STREAM), [
      complianceRecord(randomBytes(RECORD_ID_BYTES), 'destruction.decided', fields),
    ]);
    upTo = lastPosition;
  }
  if (upTo === undefined) return;
  // Tables are built, and files brought back, from what can be read now: with that all of it is gone.
  const sections = undecided.reduce((sum, one) => sum + one.sections.length, 0);
  await log.append(ERASURES_STREAM, await log.revisionOf(ERASURES_STREAM), [
    complianceRecord(randomBytes(RECORD_ID_BYTES), 'destruction.finished', { upTo, sections, media: 0 }),
  ]);
}
