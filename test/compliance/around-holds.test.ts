/** Ways around what must hold: another configuration, another name of the same person, two witnesses of one folder, doing things by halves. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { lockWitness } from '#ops/witness/witness-folder.ts';
import { removeRoom } from '#src/admin/remove-room.ts';
import { startApplication } from '#test/support/application.ts';
import { ServerFolder } from './server-folder.test-support.ts';
import { makeRoom, say, upload } from './support.ts';

const CASE = { caseId: 'C-1', reason: 'R' };
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const work of cleanUp.splice(0)) await work();
});

it('a backup is not pruned by asking a server that knows nothing of its holds', { timeout: 120_000 }, async () => {
  const server = await ServerFolder.make();
  cleanUp.push(() => server.remove());
  await server.start();
  const ada = await server.register('ada');
  const room = await server.makeRoom(ada);
  await server.published();
  const first = await server.steleJson('backup', server.path('copy'));
  await server.say(ada, room, 'more');
  await server.published();
  await server.steleJson('backup', server.path('copy'));
  await server.steleJson('hold', 'add', '--user', ada.userId, '--case', 'C', '--reason', 'R');
  await server.stop();

  // Going back to before the hold does not pass in silence.
  const held = JSON.parse((await server.stele('hold', 'list', '--json', '--read-only')).out) as Record<string, unknown>;
  const restored = await server.steleJson('restore', server.path('copy'), '--to', server.path('restored'));
  expect(restored).toMatchObject({
    lostHolds: [held['hold_id']],
    warnings: [expect.stringContaining(String(held['hold_id']))],
  });

  await server.configure('other');
  await server.start();
  await server.stop();
  const pruned = await server.steleJson('backup', 'prune', server.path('copy'), '--keep', '1');
  expect(pruned).toMatchObject({
    removed: [],
    kept: [{ generation: first['id'], reason: expect.stringContaining('another log') }],
  });
});

it('a room of which a part is on hold is not emptied when its removal is refused', async () => {
  const app = await startApplication();
  cleanUp.push(() => app.close());
  const [ann, bob] = [await app.register('ann'), await app.register('bob')];
  const roomId = await makeRoom(ann);
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
  await say(bob, roomId, 'held');
  const holdId = await app.context.compliance.holds.add({ scope: { userId: bob.userId }, ...CASE, by: 'operator:x' });
  const removal = { roomId, purge: true, newRoomUserId: undefined, newRoomName: undefined, message: undefined };
  await expect(removeRoom(app.context, { ...removal, block: true, by: ann.userId })).rejects.toThrow(holdId);
  const { joined_rooms: joined } = await bob.ok('GET', '/joined_rooms');
  expect(joined).toEqual([roomId]);
});

it('a hold of a room is of the files that were sent there', async () => {
  const app = await startApplication();
  cleanUp.push(() => app.close());
  const ann = await app.register('ann');
  const roomId = await makeRoom(ann);
  const [sent, unsent] = [await upload(app, ann, 'sent there'), await upload(app, ann, 'not sent')];
  const content = { msgtype: 'm.file', body: 'notes.txt', url: `mxc://${app.context.serverName}/${sent}` };
  await ann.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/file`, content);
  const { holds, erasures } = app.context.compliance;
  const holdId = await holds.add({ scope: { roomId }, ...CASE, by: 'operator:x' });
  await expect(app.context.media.remove(sent)).rejects.toThrow(holdId);
  await app.context.media.remove(unsent);
  const id = await erasures.request({
    userId: ann.userId,
    by: 'operator:y',
    reason: null,
    caseId: null,
    asksPeers: false,
  });
  expect((await erasures.run(id)).erasure).toMatchObject({ state: 'deferred', holdIds: [holdId] });
  expect(app.context.media.find(sent)).toBeDefined();
  await holds.release(holdId, { by: 'operator:z', reason: 'R' });
  expect((await erasures.run(id)).erasure.state).toBe('completed');
  expect(app.context.media.find(sent)).toBeUndefined();
});

it('who set a hold does not release it under another account of the system', async () => {
  const app = await startApplication({ compliance: { hold_four_eyes: true } });
  cleanUp.push(() => app.close());
  const { holds } = app.context.compliance;
  const id = await holds.add({ scope: { userId: '@ann:localhost' }, ...CASE, by: 'operator:ann' });
  for (const by of ['operator:ann as root', '@ann:localhost']) {
    await expect(holds.release(id, { by, reason: 'R' })).rejects.toThrow('Somebody else');
  }
  await holds.release(id, { by: 'operator:bob as root', reason: 'R' });
  expect(holds.standing()).toEqual([]);
});

it('one process at a time is the witness of a folder', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'stele-witness-'));
  cleanUp.push(() => rm(folder, { recursive: true, force: true }));
  await writeFile(path.join(folder, 'notes'), '');
  const lock = await lockWitness(folder);
  await expect(lockWitness(folder)).rejects.toThrow('another process is the witness');
  lock.release();
  (await lockWitness(folder)).release();
});
