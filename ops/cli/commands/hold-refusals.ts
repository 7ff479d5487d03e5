import { AUDIT_STREAM, readAuditRecord } from '#projections/audit/records.ts';
import { BACKUP_PRUNED, BACKUPS_STREAM, readBackupRecord } from '#projections/backups/records.ts';
import { ERASURES_STREAM, readComplianceRecord } from '#projections/compliance/records.ts';
import { unpackSections } from '#projections/compliance/section-list.ts';
import { dataPaths } from '#src/data-paths.ts';
import type { LogRecord } from '#streams/event-log.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { defineCommand, SUCCESS } from '../command.ts';
import { count } from '../progress.ts';
import { READ_OPTIONS, recordRead } from '../record-read.ts';

/** Something that a hold did not let happen. */
interface Refusal {
  /** Of the record that says so. */
  readonly position: number;
  readonly at: string;
  /** What wanted it to go: `erasure`, `retention`, …, `backup_prune`; `request` where somebody was answered no. */
  readonly cause: string;
  /** Items of the log that stayed. */
  readonly items?: number;
  readonly why: string;
}

const STREAMS = [ERASURES_STREAM, BACKUPS_STREAM, AUDIT_STREAM];

/** `stele hold refusals` */
export const command = defineCommand({
  name: 'hold refusals',
  summary: 'Show what a legal hold has kept from being destroyed',
  usage: 'HOLD_ID',
  description: `
A line for each record of the log that says that something was to go and stayed for this hold: by erasure, retention, clean-up after
redactions, removal of rooms, history or media, pruning of backups; and for each request that was refused for it. What is kept is on
record once for each cause. Works while the server runs, and with --read-only on a copy of the data folder. 'stele proof POSITION'
proves each.`,
  examples: ['hold refusals HOLD_ID', 'hold refusals HOLD_ID --json'],
  options: READ_OPTIONS,
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [holdId = ''], loadConfig, json, print, say }) => {
    const config = await loadConfig();
    const target = { kind: 'hold', id: holdId } as const;
    await recordRead(config, { action: 'hold.list', target, command: 'hold refusals', options });
    const log = await openLogReadOnly({ folder: dataPaths(config.data_dir).log });
    const found: Refusal[] = [];
    try {
      for (const stream of STREAMS) {
        for await (const record of log.readStream(stream)) found.push(...refusalsIn(record, holdId));
      }
    } finally {
      await log.close();
    }
    found.sort((a, b) => a.position - b.position);
    for (const refusal of found) print(json ? JSON.stringify(refusal) : lineOf(refusal));
    if (found.length === 0) say('Nothing that it covers was to go so far.');
    return SUCCESS;
  },
});

function refusalsIn(record: LogRecord, holdId: string): Refusal[] {
  const { position, recordedAtMs } = record;
  const place = { position, at: new Date(recordedAtMs).toISOString() };
  const decided = readComplianceRecord(record);
  if (decided?.kind === 'decision.kept' && decided.fields.holdIds.includes(holdId)) {
    const { cause, why, items } = decided.fields;
    return [{ ...place, cause, items: new Set(Array.from(unpackSections(items), (item) => item.position)).size, why }];
  }
  const backup = readBackupRecord(record);
  if (backup?.kind === BACKUP_PRUNED) {
    return backup.fields.kept
      .filter(({ reason }) => reason.includes(holdId))
      .map(({ generation, reason }) => ({ ...place, cause: 'backup_prune', why: `${generation}: ${reason}` }));
  }
  const facts = readAuditRecord(record)?.facts;
  if (facts?.outcome === 'allowed' || facts?.why?.includes(holdId) !== true) return [];
  return [{ ...place, cause: 'request', why: `${facts.action}: ${facts.why}` }];
}

function lineOf({ position, at, cause, items, why }: Refusal): string {
  const what = items === undefined ? cause : `${cause} of ${count(items)} items`;
  return `${at}  ${position}  ${what}  ${why}`.replace(/\p{C}/gu, '\ufffd');
}
