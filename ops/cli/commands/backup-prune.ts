import { BACKUP_PRUNED } from '#projections/backups/records.ts';
import { pruneBackup } from '../../backup/prune.ts';
import { withPruneDecision } from '../../backup/prune-decision.ts';
import { tellServer } from '../../backup/tell-server.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { count } from '../progress.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** `stele backup prune DIR` */
export const command = defineCommand({
  name: 'backup prune',
  summary: 'Remove old generations of a backup',
  usage: 'DIR --keep N',
  description: `
Removes generations beyond the newest N, and the files that no other generation needs. What a legal hold or a minimum retention
forbids to remove stays, and is named with the reason.`,
  examples: ['backup prune /backup/stele --keep 30 --dry-run'],
  options: {
    keep: { type: 'string', value: 'N', description: 'So many of the newest generations stay' },
    'keep-days': { type: 'string', value: 'N', description: 'So do those of the last N days' },
    'dry-run': { type: 'boolean', description: 'Only say what would go' },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [folder = ''], loadConfig, json, print, say, signal }) => {
    const keepLast = wholeNumber('--keep', options.keep);
    const keepDays = options['keep-days'] === undefined ? undefined : wholeNumber('--keep-days', options['keep-days']);
    const config = await loadConfig();
    const isTrial = options['dry-run'];
    const report = await withPruneDecision(config, (decide) =>
      pruneBackup({
        folder,
        keepLast,
        ...(keepDays !== undefined && { keepSinceMs: Date.now() - keepDays * DAY_MS }),
        decide,
        isTrial,
        signal,
      }),
    );
    const { removed, kept, filesRemoved } = report;
    if (!isTrial && removed.length + kept.length > 0) {
      await tellServer(config, say, { kind: BACKUP_PRUNED, fields: { removed, kept } });
    }
    if (json) print(JSON.stringify({ ok: true, dry_run: isTrial, removed, kept, filesRemoved }));
    else {
      for (const id of removed) print(`${id} ${isTrial ? 'would be removed' : 'removed'}`);
      for (const { generation, reason } of kept) print(`${generation} kept: ${reason}`);
      say(`${count(filesRemoved)} files ${isTrial ? 'would be' : 'were'} needed by no other generation.`);
    }
    return SUCCESS;
  },
});

function wholeNumber(option: string, text: string | undefined): number {
  const value = text !== undefined && /^[0-9]{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1)) throw new UsageError(`${option} takes a whole number from 1 on`);
  return value;
}
