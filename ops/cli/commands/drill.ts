import { BACKUP_DRILLED } from '#projections/backups/records.ts';
import { drillBackup } from '../../backup/drill.ts';
import { erasedLists, parseRestorePoint } from '../../backup/restore-point.ts';
import { restoreProgress } from '../../backup/restore-progress.ts';
import { tellServer } from '../../backup/tell-server.ts';
import { defineCommand, FINDING, SUCCESS } from '../command.ts';
import { count, formatSeconds } from '../progress.ts';

/** `stele drill BACKUP` */
export const command = defineCommand({
  name: 'drill',
  summary: 'Try whether a backup can be restored, and put the result on record',
  usage: 'BACKUP',
  description: `
Restores to a temporary folder as 'stele restore' does, verifies the log and its tree, replays the log a second time and compares,
and takes the folder away. Says how long it took and which checkpoint of the old log was matched. The result is put on record in
the log of the configured data folder, whether a server runs there or not. Exit status 1 if the backup cannot be restored.`,
  examples: ['drill /backup/stele --keyring /elsewhere/keys'],
  options: {
    keyring: { type: 'string', value: 'DIR', description: 'Where the keyring is', defaultText: 'keyring in BACKUP' },
    at: { type: 'string', value: 'TIME|POSITION', description: 'Where the log is to end', defaultText: 'its end' },
    generation: { type: 'string', value: 'ID', description: 'Which generation', defaultText: 'the latest' },
    erased: { type: 'string', value: 'FILE', multiple: true, description: 'A list of destroyed keys to apply' },
    'log-key': { type: 'string', value: 'KEY', description: 'The public key that must have signed the backup' },
    temporary: { type: 'string', value: 'DIR', description: 'Where to make the temporary folder' },
    'no-record': { type: 'boolean', description: 'Put nothing on record' },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [folder = ''], loadConfig, json, print, say, signal }) => {
    const config = await loadConfig();
    const progress = restoreProgress();
    const result = await drillBackup({
      folder,
      erasedLists: await erasedLists(options.erased, config.data_dir),
      ...(options.keyring !== undefined && { keyringFolder: options.keyring }),
      ...(options.at !== undefined && { at: parseRestorePoint(options.at) }),
      ...(options.generation !== undefined && { generation: options.generation }),
      ...(options['log-key'] !== undefined && { trustedKey: options['log-key'] }),
      ...(options.temporary !== undefined && { temporaryFolder: options.temporary }),
      onProgress: progress.onProgress,
      signal,
    }).finally(() => progress.finish());
    if (!options['no-record']) await tellServer(config, say, { kind: BACKUP_DRILLED, fields: result });
    if (json) print(JSON.stringify({ ok: result.passed, ...result }));
    else {
      for (const finding of result.findings) print(finding);
      if (result.firstVerifiedCheckpoint !== null) print(result.firstVerifiedCheckpoint.trimEnd());
      const outcome = result.passed ? 'was restored and verified' : 'cannot be relied on';
      say(
        `Generation ${result.generation} ${outcome}: ${count(result.records)} records in ${formatSeconds(result.seconds)}.`,
      );
    }
    return result.passed ? SUCCESS : FINDING;
  },
});
