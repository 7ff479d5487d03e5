import { lostHolds } from '../../backup/lost-holds.ts';
import { restoreBackup } from '../../backup/restore.ts';
import { erasedLists, parseRestorePoint } from '../../backup/restore-point.ts';
import { restoreProgress } from '../../backup/restore-progress.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { count, formatSeconds } from '../progress.ts';

/** `stele restore BACKUP --to DIR` */
export const command = defineCommand({
  name: 'restore',
  summary: 'Make a data folder from a backup, now or as it was at some moment',
  usage: 'BACKUP --to DIR',
  description: `
Makes DIR from the latest generation, or the one that --generation names: the log, verified; its keys, without those that were
destroyed since; the projections; the media. DIR has its name only when all of it is done. Then set data_dir to DIR and start the
server.

With --at the log ends after that position, or before that time, always with a whole commit. A log that was restored goes on under
another key: the old one may have signed for records that are gone. One-time keys are void, so devices upload new ones; clients
whose sync tokens are of a part that is gone are told everything again.

Keys that were destroyed are destroyed again before anything is read: those in the list of the configured data folder, if it is there,
and in each list of --erased (log/erased.list of a data folder, which should be kept apart from backups).`,
  examples: [
    'restore /backup/stele --keyring /elsewhere/keys --to ./restored --erased ./data/log/erased.list',
    'restore /backup/stele --to ./as-it-was --at 2026-07-04T12:00:00Z',
  ],
  options: {
    to: { type: 'string', value: 'DIR', description: 'The data folder to make' },
    keyring: { type: 'string', value: 'DIR', description: 'Where the keyring is', defaultText: 'keyring in BACKUP' },
    at: { type: 'string', value: 'TIME|POSITION', description: 'Where the log is to end', defaultText: 'its end' },
    generation: { type: 'string', value: 'ID', description: 'Which generation', defaultText: 'the latest' },
    erased: { type: 'string', value: 'FILE', multiple: true, description: 'A list of destroyed keys to apply' },
    'log-key': { type: 'string', value: 'KEY', description: 'The public key that must have signed the backup' },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [folder = ''], loadConfig, json, print, say, signal }) => {
    if (options.to === undefined) throw new UsageError('where to? Name the folder to make with --to DIR');
    const { data_dir: dataDir } = await loadConfig();
    const progress = restoreProgress();
    const report = await restoreBackup({
      folder,
      to: options.to,
      erasedLists: await erasedLists(options.erased, dataDir),
      ...(options.keyring !== undefined && { keyringFolder: options.keyring }),
      ...(options.at !== undefined && { at: parseRestorePoint(options.at) }),
      ...(options.generation !== undefined && { generation: options.generation }),
      ...(options['log-key'] !== undefined && { trustedKey: options['log-key'] }),
      onProgress: progress.onProgress,
      signal,
    }).finally(() => progress.finish());
    const lost = await lostHolds(dataDir, options.to);
    const warnings = [
      ...report.warnings,
      ...lost.map(
        ({ id, caseId }) =>
          `hold ${id} of case ${caseId} was set after what is restored: set it again, before anything goes`,
      ),
    ];
    if (json) {
      print(JSON.stringify({ ok: true, ...report, warnings, lostHolds: lost.map(({ id }) => id) }));
      return SUCCESS;
    }
    for (const warning of warnings) say(`warning: ${warning}`);
    const { records, recordedAtMs, missingMedia, erasuresApplied } = report;
    say(
      `${count(records)} records up to ${new Date(recordedAtMs).toISOString()}, ${count(report.mediaFiles)} files of media, ` +
        `in ${formatSeconds(report.seconds)}; ${count(report.checkpoints)} checkpoints of the old log matched.`,
    );
    if (erasuresApplied > 0) say(`${count(erasuresApplied)} keys that had been destroyed since were destroyed again.`);
    if (missingMedia.length > 0) say(`warning: ${count(missingMedia.length)} files of media are not in the backup.`);
    say(`The log goes on under another key; whoever checks its proofs needs it: ${report.newLogKey}`);
    say(`Set data_dir to ${options.to} and start the server.`);
    print(options.to);
    return SUCCESS;
  },
});
