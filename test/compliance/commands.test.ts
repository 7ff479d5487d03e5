/** The verbs of compliance against a server in a process of its own: what they say, what is on the disk, what a crash leaves. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SteleProcess, type TestUser } from '#test/support/stele-process.ts';

const SECRET = 'Stachelbeerbaiser';
let stele: SteleProcess;
let subject: TestUser;
let other: TestUser;
let roomId: string;

async function command(...args: string[]) {
  return stele.run(...args, '--config', stele.configFile);
}

/** Names of files of the data folder in which a text is found. */
async function filesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(stele.dataDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    if ((await readFile(file)).includes(text)) found.push(path.relative(stele.dataDir, file));
  }
  return found;
}

async function say(user: TestUser, body: string): Promise<void> {
  const at = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${Math.random()}`;
  await user.call('PUT', at, { msgtype: 'm.text', body });
}

beforeAll(async () => {
  stele = await SteleProcess.make();
  await stele.start();
  [subject, other] = [await stele.register('subject'), await stele.register('other')];
  const made = await other.call('POST', '/createRoom', { preset: 'public_chat' });
  roomId = String(made['room_id']);
  await subject.call('POST', `/join/${encodeURIComponent(roomId)}`, {});
}, 120_000);
afterAll(() => stele.remove());

it('a hold puts an erasure off, and releasing it carries it out; the log verifies and replays', {
  timeout: 240_000,
}, async () => {
  for (let n = 0; n < 30; n++) await say(subject, `${SECRET} ${n}`);
  await say(other, 'Rhabarber');
  const added = await command('hold', 'add', '--room', roomId, '--case', 'C-7', '--reason', 'A lawsuit');
  expect(added).toMatchObject({ status: 0 });
  const holdId = added.stdout.trim();
  const listed = await command('hold', 'list');
  expect(listed.stdout).toContain(holdId);
  expect(listed.stdout).toContain('case=C-7');

  const deferred = await command('erase', '@subject:localhost', '--case', 'DP-9', '--reason', 'By letter');
  expect(deferred.status).toBe(1);
  expect(deferred.stderr).toContain(holdId);
  expect(await filesWith(SECRET)).not.toEqual([]);
  expect((await command('erase', '@nobody:localhost')).status).toBe(1);

  expect((await command('hold', 'release', holdId, '--reason', 'Settled')).status).toBe(0);
  const out = path.join(stele.folder, 'certificate');
  const erased = await command('erase', '@subject:localhost', '--out', out);
  expect(erased).toMatchObject({ status: 0 });
  expect(erased.stdout).toContain('subject @subject:localhost');
  expect(await filesWith(SECRET)).toEqual([]);
  expect(await filesWith('Rhabarber')).not.toEqual([]);
  expect(JSON.parse(await readFile(path.join(out, 'certificate.json'), 'utf8'))).toMatchObject({
    destroyed: { items: { messages: 30 } },
    log: { head_before: expect.stringContaining('localhost'), head_after: expect.stringContaining('localhost') },
  });
  const replayed = await command('replay', '--check');
  expect(replayed, replayed.stdout + replayed.stderr).toMatchObject({ status: 0 });
  const verified = await command('verify');
  expect(verified, verified.stdout + verified.stderr).toMatchObject({ status: 0 });
  await say(other, 'and on');
});

it('the policy in force is told, and what it lets go', { timeout: 120_000 }, async () => {
  const policy = await command('retention', 'policy', '--json');
  expect(JSON.parse(policy.stdout)).toMatchObject({ policy: { redacted_ms: 7 * 86_400_000 } });
  expect((await command('retention', 'policy', '--at', '2001-01-01')).status).toBe(1);
  const plan = await command('retention', 'plan', '--json');
  expect(JSON.parse(plan.stdout)).toMatchObject({ sums: [], items: [] });
  expect((await command('retention', 'plan', '--until', 'yesterday')).status).toBe(2);
});

it('what a killed server had decided is finished by the next one', { timeout: 240_000 }, async () => {
  const third = await stele.register('third');
  await third.call('POST', `/join/${encodeURIComponent(roomId)}`, {});
  const MARK = 'Mirabellenkompott';
  for (let n = 0; n < 30; n++) await say(third, `${MARK} ${n}`);
  // The answer to this comes when the request is on record; then the server is killed wherever it is.
  const asked = command('erase', '@third:localhost');
  await expect
    .poll(async () => (await command('audit', '--action', 'erasure.request')).stdout, { timeout: 60_000 })
    .toContain('@third:localhost');
  await stele.stop('SIGKILL');
  await asked;
  await stele.start();
  const finished = await command('erase', '@third:localhost');
  expect(finished, finished.stderr).toMatchObject({ status: 0 });
  expect(await filesWith(MARK)).toEqual([]);
  const replayed = await command('replay', '--check');
  expect(replayed, replayed.stdout + replayed.stderr).toMatchObject({ status: 0 });
});
