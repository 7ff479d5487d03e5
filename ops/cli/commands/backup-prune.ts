import { BACKUP_PRUNED, type BackupPruned } from '#projections/backups/records.ts';
import type { Config } from '#src/config/schema.ts';
import { type PruneOptions, type PruneReport, pruneBackup } from '../../backup/prune.ts';
import { withPruneDecision } from '../../backup/prune-decision.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { askServer } from '../operator-request.ts';
import { count } from '../progress.ts';

/** Most that the server takes at once. */
const GENERATIONS_PER_RECORD = 1000;
const DAY_MS = 24 * 60 * 60 * 1000;

/** `stele backup prune DIR` */
export const command = defineCommand({
  name: 'backup prune',
  summary: 'Remove old generations of a backup',
  usage: 'DIR --keep N',
  description: `
Removes generations beyond the newest N, and the files that no other generation needs. What a legal hold or a minimum retention
forbids to remove stays, and is named with the reason. What goes is on record before it does; what a run left that was broken off
goes too.`,
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
    const prune = (rest: Pick<PruneOptions, 'isTrial' | 'only'>): Promise<PruneReport> =>
      withPruneDecision(config, (decide) =>
        pruneBackup({
          folder,
          keepLast,
          ...(keepDays !== undefined && { keepSinceMs: Date.now() - keepDays * DAY_MS }),
          decide,
          signal,
          ...rest,
        }),
      );
    const planned = await prune({ isTrial: true });
    const report = isTrial ? planned : await carryOut(planned, prune, (fields) => record(config, fields));
    const { removed, kept, filesRemoved } = report;
    if (json) print(JSON.stringify({ ok: true, dry_run: isTrial, removed, kept, filesRemoved }));
    else {
      for (const id of removed) print(`${id} ${isTrial ? 'would be removed' : 'removed'}`);
      for (const { generation, reason } of kept) print(`${generation} kept: ${reason}`);
      say(`${count(filesRemoved)} files ${isTrial ? 'would be' : 'were'} needed by no other generation.`);
    }
    return SUCCESS;
  },
});

/**
 * What goes is on record before it does. Holds are asked again after that: one that was set until then keeps what it covers, which is
 * put on record too. What a run that is broken off leaves, the next one removes.
 */
async function carryOut(
  planned: PruneReport,
  prune: (rest: { readonly only: ReadonlySet<string> }) => Promise<PruneReport>,
  record: (fields: BackupPruned) => Promise<void>,
): Promise<PruneReport> {
  await record(planned);
  const done = await prune({ only: new Set(planned.removed) });
  await record({ removed: [], kept: done.kept });
  return { ...done, kept: [...planned.kept, ...done.kept] };
}

/** @throws {OperatorRefusal} where it cannot be put on record: then it is not done. */
async function record(config: Config, { removed, kept }: BackupPruned): Promise<void> {
  for (let at = 0; at < Math.max(removed.length, kept.length); at += GENERATIONS_PER_RECORD) {
    const part = <T>(list: readonly T[]): T[] => list.slice(at, at + GENERATIONS_PER_RECORD);
    const fields = { removed: part(removed), kept: part(kept) };
    await askServer(config, '/_stele/operator/backups/record', { record: { kind: BACKUP_PRUNED, fields } });
  }
}

function wholeNumber(option: string, text: string | undefined): number {
  const value = text !== undefined && /^[0-9]{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1)) throw new UsageError(`${option} takes a whole number from 1 on`);
  return value;
}
