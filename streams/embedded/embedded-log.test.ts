import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describeEventLogContract } from '../contract.ts';
import { NotWritten } from '../event-log.ts';
import { openLog } from '../open-log.ts';
import { FaultyFiles } from './faulty-files.test-support.ts';

/** Sizes that put the suite through one segment, and through many. */
for (const [name, segmentBytes] of [
  ['the log in one segment', undefined],
  ['the log in many segments', 16 * 1024],
] as const) {
  describeEventLogContract(name, async (options) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'stele-log-'));
    const files = new FaultyFiles();
    const open = () => openLog({ ...options, folder, files, segmentBytes, retryMs: 0 });
    let log = await open();
    return {
      log,
      failNextCommit(error) {
        if (error instanceof NotWritten) files.fail({ on: 'write', code: 'ENOSPC' });
        else files.fail({ on: 'datasync', code: 'EIO' });
      },
      async reopen() {
        await log.close();
        log = await open();
        return log;
      },
      async dispose() {
        await log.close();
        await rm(folder, { recursive: true });
      },
    };
  });
}
