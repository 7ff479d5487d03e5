/** Makes a backup and kills itself on the way: `node killed-backup.test-support.ts OPTIONS_JSON SHARE_DONE`. */
import { type BackupOptions, makeBackup } from '#ops/backup/backup.ts';

const [options = '', share = ''] = process.argv.slice(2);
await makeBackup({
  ...(JSON.parse(options) as BackupOptions),
  onProgress: (done, total) => {
    if (done >= Number(share) * total) process.kill(process.pid, 'SIGKILL');
  },
});
