/** Where the lives of this log begin: its restores. What else happens to backups is asked of the audit log. */
import type { Projection } from '#projections/engine/projection.ts';
import type { Reader } from '#projections/engine/reader.ts';
import { defineTable, msgpack, tuple, u48 } from '#projections/engine/table.ts';
import type { Position } from '#streams/event-log.ts';
import { BACKUP_RESTORED, type BackupRestored, readBackupRecord } from './records.ts';

/** More records than a log takes in a millisecond. Times a time of this century it is far below 2^53. */
const CHANGES_PER_MS = 1000;

const restores = defineTable({
  name: 'backups.restores',
  key: tuple<[at: number]>(u48),
  value: msgpack<BackupRestored>(),
  why: 'Each sync token is held against the places where the log was restored; there are few, and nothing else is read for it.',
});

export const backupsProjection: Projection = {
  name: 'backups',
  version: 2,
  tables: [restores],
  apply(tx, record) {
    const read = readBackupRecord(record);
    if (read?.kind === BACKUP_RESTORED) tx.put(restores, [record.position], read.fields);
  },
};

/**
 * Where the log went on after each restore, oldest first: records before such a position are those of the backup, and whatever
 * had been at that position or after it before the restore is gone.
 */
export function restorePositions(reader: Reader): Position[] {
  return Array.from(reader.keys(restores, {}), ([at]) => at);
}

/** The last restore, if there was one. */
export function lastRestore(reader: Reader): BackupRestored | undefined {
  for (const { value } of reader.range(restores, { reverse: true, limit: 1 })) return value;
  return undefined;
}

/**
 * What is added to log positions where other servers are told them as the numbers of changes, which have to grow: after a restore
 * positions are given a second time. Nothing before the first restore; then a number that no log reaches until the next one.
 */
export function changeNumberOffset(reader: Reader): number {
  const restored = lastRestore(reader);
  return restored === undefined ? 0 : restored.restoredAtMs * CHANGES_PER_MS;
}
