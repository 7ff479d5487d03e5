/** An erasure reaches every generation of a backup with the next run: whoever has all of it, its keyring too, finds nothing. */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeBackup } from '#ops/backup/backup.ts';
import { restoreBackup } from '#ops/backup/restore.ts';
import { dataPaths } from '#src/data-paths.ts';
import { openLogReadOnly } from '#streams/open-log.ts';
import { type FolderApplication, openFolderApplication } from './folder-application.test-support.ts';
import { filesUnder, makeRoom, say, upload } from './support.ts';

const SECRET = 'Stachelbeerwein';

let folder: string;
let app: FolderApplication;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'stele-erased-backups-'));
  app = await openFolderApplication(path.join(folder, 'data'), Date.now);
});
afterEach(async () => {
  await app.close();
  await rm(folder, { recursive: true, force: true });
});

async function backUp() {
  await app.publish();
  return makeBackup({
    dataDir: app.dataDir,
    serverName: 'localhost',
    signingKeyFile: path.join(app.dataDir, 'signing.key'),
    folder: path.join(folder, 'copy'),
    settings: {},
  });
}

/** Where the text is in what a backup gives to whoever has it, with its keyring and no list of what was erased. */
async function remainsOf(backup: string, generation: string): Promise<string[]> {
  const to = await mkdtemp(path.join(folder, 'restored-'));
  const { missingMedia } = await restoreBackup({ folder: backup, to, generation });
  expect(missingMedia).toEqual([]);
  const found = await filesUnder(to, SECRET);
  const log = await openLogReadOnly({ folder: dataPaths(to).log });
  for await (const records of log.readAll(-1)) {
    for (const { sections, position, kind } of records) {
      if (sections.some((section) => section !== null && Buffer.from(section).includes(SECRET))) {
        found.push(`record ${position}: ${kind}`);
      }
    }
  }
  await log.close();
  return found;
}

const sealedFiles = async (backup: string): Promise<number> =>
  (await readdir(path.join(backup, 'media'), { recursive: true, withFileTypes: true })).filter((one) => one.isFile())
    .length;

it('leaves nothing of the person in any generation, and others their files', async () => {
  const [ann, bob] = [app.as(await app.register('ann')), app.as(await app.register('bob'))];
  await say(ann, await makeRoom(ann, { name: `${SECRET} of a room` }), `${SECRET} in a message`);
  await upload(app, ann, `${SECRET} in a file`);
  await upload(app, bob, 'a file of bob');
  const copy = path.join(folder, 'copy');
  const first = await backUp();
  expect(await filesUnder(copy, SECRET)).toEqual([]);
  const before = await remainsOf(copy, first.id);
  expect(before.some((one) => one.startsWith('media'))).toBe(true);
  expect(before.some((one) => one.startsWith('record'))).toBe(true);
  await cp(copy, path.join(folder, 'another-copy'), { recursive: true });

  const { erasures } = app.context.compliance;
  const wish = { userId: ann.userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false };
  expect((await erasures.run(await erasures.request(wish))).erasure.state).toBe('completed');
  const second = await backUp();
  expect(second).toMatchObject({ mediaErased: 1, warnings: [] });
  for (const { id } of [first, second]) expect(await remainsOf(copy, id)).toEqual([]);
  expect(await sealedFiles(copy)).toBe(1);
  // What was copied elsewhere is beyond reach: that is what the list of destroyed keys is for.
  expect(await remainsOf(path.join(folder, 'another-copy'), first.id)).not.toEqual([]);
  expect((await backUp()).mediaErased).toBe(0);
});

it('leaves a file that somebody else has uploaded too', async () => {
  const [ann, bob] = [app.as(await app.register('ann')), app.as(await app.register('bob'))];
  for (const user of [ann, bob]) await upload(app, user, `${SECRET} that both have`);
  await backUp();
  const { erasures } = app.context.compliance;
  const wish = { userId: ann.userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false };
  await erasures.run(await erasures.request(wish));
  const { id, mediaErased } = await backUp();
  expect(mediaErased).toBe(0);
  expect((await remainsOf(path.join(folder, 'copy'), id)).some((one) => one.startsWith('media'))).toBe(true);
});
