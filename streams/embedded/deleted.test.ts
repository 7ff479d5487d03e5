import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { draft } from '../contract.ts';
import { NO_STREAM } from '../event-log.ts';
import { openLog } from '../open-log.ts';

afterEach(() => vi.restoreAllMocks());

it('a log whose folder is deleted under it stops taking appends', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-deleted-'));
  const log = await openLog({ folder });
  await log.append('room-a', NO_STREAM, [draft('one')]);
  await rm(folder, { recursive: true, force: true });
  // It is looked at once a second: let that second be over.
  const now = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => now + 2_000);
  await expect(log.append('room-a', 0, [draft('one')])).rejects.toThrow(/deleted/);
  expect(log.writeState()).toMatchObject({ writable: false });
  await expect(log.append('room-a', 0, [draft('one')])).rejects.toThrow(/restart the server/);
  await log.close().catch(() => undefined);
});
