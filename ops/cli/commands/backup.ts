import { BACKUP_MADE } from '#projections/backups/records.ts';
import { explainConfig } from '#src/config/explain.ts';
import { policyKeyFileOf } from '#src/data-paths.ts';
import { makeBackup } from '../../backup/backup.ts';
import { tellServer } from '../../backup/tell-server.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';
import { count, formatSeconds, startProgress } from '../progress.ts';

/** `stele backup DIR` */
export const command = defineCommand({
  name: 'backup',
  summary: 'Add a generation to a backup of the log, its keys and the media',
  usage: 'DIR',
  description: `
Works while the server runs. What is backed up is the log up to its last published checkpoint, the keyring, the media that people
uploaded, the keys that sign, and the settings without their secrets; projections and caches are made again from these. What is in
DIR already and is what it should be is not written again, so a run that was broken off goes on where it was.

The keyring holds the keys of every record. Keep it apart from the rest with --keyring, or leave it out with --without-keyring and
take care of log/keyring and log/master.key yourself: without them nothing in DIR can be read. There is one copy of it for all
generations, and keys that were destroyed since the last run are destroyed in it.`,
  examples: ['backup /backup/stele --keyring /elsewhere/keys'],
  options: {
    keyring: { type: 'string', value: 'DIR', description: 'Keep the keyring there', defaultText: 'keyring in DIR' },
    'without-keyring': { type: 'boolean', description: 'Leave the keyring out' },
    'without-media': { type: 'boolean', description: 'Leave the media out' },
  },
  positionals: { min: 1, max: 1 },
  printsData: true,
  run: async ({ options, positionals: [folder = ''], loadConfig, json, print, say, signal }) => {
    if (options['without-keyring'] && options.keyring !== undefined) {
      throw new UsageError('--keyring and --without-keyring contradict each other');
    }
    const config = await loadConfig();
    const settings = Object.fromEntries(
      explainConfig({ config, sources: new Map() }).map(({ key, value }) => [key, value]),
    );
    const progress = startProgress({ label: 'Backing up', unit: 'bytes' });
    const startedMs = performance.now();
    const report = await makeBackup({
      dataDir: config.data_dir,
      serverName: config.server_name,
      signingKeyFile: config.signing_key_file,
      policyKeyFile: policyKeyFileOf(config),
      folder,
      ...(options.keyring !== undefined && { keyringFolder: options.keyring }),
      ...(options['without-keyring'] && { keyringFolder: null }),
      withMedia: !options['without-media'],
      settings,
      onProgress: (done, total) => progress.update(done, total),
      signal,
    }).finally(() => progress.finish());
    const seconds = (performance.now() - startedMs) / 1000;
    const { id: generation, records, checkpoint, copied, kept, keys, warnings } = report;
    await tellServer(config, say, {
      kind: BACKUP_MADE,
      fields: { generation, records, checkpoint, copiedBytes: copied.bytes, hasKeyring: keys !== null },
    });
    if (json) print(JSON.stringify({ ok: true, ...report, seconds: Number(seconds.toFixed(3)) }));
    else {
      for (const warning of warnings) say(`warning: ${warning}`);
      print(generation);
      say(
        `${count(records)} records and ${count(report.mediaFiles)} files of media in ${formatSeconds(seconds)}: ` +
          `${count(copied.files)} files written (${count(copied.bytes)} bytes), ${count(kept.files)} kept` +
          (keys === null
            ? '; the keyring is left out'
            : `; ${count(keys.added)} keys added, ${count(keys.destroyed)} destroyed`),
      );
    }
    return SUCCESS;
  },
});
