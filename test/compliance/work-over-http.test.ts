/** What compliance officers, reviewers and data-protection officers do, over HTTP, on a server with a data folder. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '#ops/cli/run-command-line.ts';
import { type Person, ServerFolder } from './server-folder.test-support.ts';
import { filesUnder } from './support.ts';

const run = promisify(execFile);
const ADMIN = '/_stele/admin';
/** Exports and erasures each take a process, or tables that are built anew: on a busy machine that is long. */
const TIMEOUT_MS = 180_000;
const SECRET = 'the-merger-is-on-friday';
/** For commands of which only the exit status matters. */
const SILENT = { print: () => {}, say: () => {}, signal: new AbortController().signal, environment: {} };

type Found = Record<string, unknown>;

let server: ServerFolder;
let alice: Person;
let bob: Person;
let room: string;
let officer: Person;
let second: Person;
let reviewer: Person;
let dpo: Person;

beforeAll(async () => {
  server = await ServerFolder.make('compliance: { hold_four_eyes: true }\n');
  await server.start();
  [alice, bob] = [await server.register('alice'), await server.register('bob')];
  room = await server.makeRoom(alice);
  await server.say(alice, room, SECRET);
  [officer, second, reviewer, dpo] = [
    await withRole('officer', 'compliance_officer'),
    await withRole('second', 'compliance_officer'),
    await withRole('reviewer', 'reviewer', '--case', 'C-1'),
    await withRole('dpo', 'data_protection_officer'),
  ];
});
afterAll(() => server.remove());

/** Somebody with a role, who calls with a scoped token of it. */
async function withRole(name: string, role: string, ...limits: string[]): Promise<Person> {
  const person = await server.register(name);
  const { userId } = person;
  const granted = await server.stele('roles', 'grant', userId, role, '--reason', 'test', ...limits);
  expect(granted.status).toBe(0);
  const body = { role, reason: 'inquiry', expires_in_ms: 3_600_000 };
  const made = await server.ok('POST', `${ADMIN}/tokens`, { token: person.token, body });
  return { ...person, token: String(made['token']) };
}

/** Waits until something that the server does in the background has another state than these. */
async function ended(at: string, { token }: Person, ...states: string[]): Promise<Found> {
  let found: Found = { state: '' };
  const isUnderWay = async (): Promise<boolean> => {
    found = (await server.ok('GET', at, { token })) as Found;
    return states.includes(String(found['state'] ?? found['status']));
  };
  await expect.poll(isUnderWay, { timeout: TIMEOUT_MS }).toBe(false);
  return found;
}
const exported = (id: unknown) => ended(`${ADMIN}/exports/${id}`, officer, 'waiting', 'running');

async function entries(...query: string[]): Promise<Record<string, unknown>[]> {
  const { out } = await server.stele('audit', ...query, '--json');
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Whether an export is found to be whole by who has nothing but its folder. */
async function isVerified(folder: string): Promise<boolean> {
  return (await runCommandLine(['export', 'verify', folder], { ...SILENT, workingDir: folder })) === 0;
}

async function archiveOf(id: unknown, person: Person): Promise<{ readonly status: number; readonly folder: string }> {
  const response = await fetch(`${server.origin}${ADMIN}/exports/${id}/archive`, {
    headers: { authorization: `Bearer ${person.token}` },
  });
  const folder = server.path(`fetched-${Math.random()}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) return { status: response.status, folder };
  expect(bytes.length).toBe(Number(response.headers.get('content-length')));
  await mkdir(folder);
  await writeFile(`${folder}.tar`, bytes);
  await run('tar', ['-xf', `${folder}.tar`, '-C', folder]);
  return { status: 200, folder: path.join(folder, `stele-export-${id}`) };
}

describe('a hold', () => {
  it('is set by one person, and released by another', async () => {
    const body = { scope: { room_id: room }, case_id: 'C-1', reason: 'lawsuit' };
    const { hold_id: id } = await server.ok('POST', `${ADMIN}/holds`, { token: officer.token, body });
    const release = (person: Person) =>
      server.call('POST', `${ADMIN}/holds/${id}/release`, { token: person.token, body: { reason: 'settled' } });
    expect((await release(officer)).status).toBe(403);
    expect((await release(second)).status).toBe(200);
    expect((await release(second)).status).toBe(404);
    const { holds } = await server.ok('GET', `${ADMIN}/holds?all=true`, { token: officer.token });
    expect(holds).toMatchObject([
      { hold_id: id, case_id: 'C-1', set_by: officer.userId, released: { by: second.userId, reason: 'settled' } },
    ]);
    expect(await entries('--action', 'hold.*', '--case', 'C-1')).toMatchObject([
      { action: 'hold.set', outcome: 'allowed', reason: 'lawsuit', after: { room_id: room } },
      { action: 'hold.release', outcome: 'allowed', actor: { user_id: officer.userId } },
      { action: 'hold.release', outcome: 'failed', why: expect.stringContaining('Somebody else') },
      { action: 'hold.release', outcome: 'allowed', actor: { user_id: second.userId } },
      { action: 'hold.release', outcome: 'allowed' },
      { action: 'hold.release', outcome: 'failed' },
    ]);
  });
});

describe('a search', () => {
  it('finds what was said in rooms that the officer is not in, which is on record for each room that is shown', async () => {
    const other = await server.makeRoom(bob);
    await server.say(bob, other, 'nothing of that');
    const body = { search_term: 'merger friday', reason: 'inquiry', case_id: 'C-1' };
    const search = (more: object) =>
      server.ok('POST', `${ADMIN}/search`, { token: officer.token, body: { ...body, ...more } });
    const { results } = await search({});
    expect(results).toMatchObject([{ result: { room_id: room, sender: alice.userId, content: { body: SECRET } } }]);
    expect((await search({ rooms: [other] }))['results']).toEqual([]);
    expect((await search({ senders: [bob.userId] }))['results']).toEqual([]);
    expect((await search({ to_ts: 1 }))['results']).toEqual([]);
    const found = await entries('--action', 'content.search', '--room', room);
    expect(found).toMatchObject([{ actor: { user_id: officer.userId }, case_id: 'C-1', reason: 'inquiry' }]);
    expect(await entries('--action', 'content.search', '--room', other)).toEqual([]);
    const [first] = await entries('--action', 'content.search');
    expect(first).toMatchObject({ after: { search_term: 'merger friday' } });
    const unfounded = await server.call('POST', `${ADMIN}/search`, {
      token: officer.token,
      body: { search_term: 'x' },
    });
    expect(unfounded.status).toBe(403);
  });
});

describe('an export', { timeout: TIMEOUT_MS }, () => {
  it('is made in the background, fetched by the reviewer of its case alone, and verifies', async () => {
    const make = (caseId: string) =>
      server.ok('POST', `${ADMIN}/exports`, {
        token: officer.token,
        body: { case_id: caseId, reason: 'lawsuit', rooms: [room] },
      });
    const { export_id: id } = await make('C-1');
    const { export_id: otherId } = await make('C-2');
    expect(await exported(id)).toMatchObject({ state: 'complete', case_id: 'C-1', counts: { rooms: 1 } });
    await exported(otherId);
    const { exports } = await server.ok('GET', `${ADMIN}/exports`, { token: reviewer.token });
    expect(exports).toMatchObject([{ export_id: id }]);
    expect((await archiveOf(otherId, reviewer)).status).toBe(403);
    const { folder } = await archiveOf(id, reviewer);
    expect(await isVerified(folder)).toBe(true);
    expect(await filesUnder(folder, SECRET)).not.toEqual([]);
    expect(await entries('--action', 'export.*', '--room', room)).toMatchObject([
      { action: 'export.make', actor: { user_id: officer.userId }, case_id: 'C-1' },
      { action: 'export.make', actor: { user_id: officer.userId }, case_id: 'C-2' },
      { action: 'export.download', actor: { user_id: reviewer.userId }, case_id: 'C-1' },
    ]);
    for (const one of [id, otherId]) {
      const response = await fetch(`${server.origin}${ADMIN}/exports/${one}`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${officer.token}` },
      });
      expect(response.status).toBe(200);
    }
    expect(await readdir(server.path('data', 'exports'))).toEqual([]);
  });

  it('that the end of the server cut short is gone on with at its next start', async () => {
    const body = { case_id: 'C-3', reason: 'audit', everything: true };
    const { export_id: id } = await server.ok('POST', `${ADMIN}/exports`, { token: officer.token, body });
    await server.stop();
    await server.start();
    expect(await exported(id)).toMatchObject({ state: 'complete', case_id: 'C-3' });
  });

  it('is not made without saying of what, or of rooms that are not here', async () => {
    const make = async (body: object) =>
      (await server.call('POST', `${ADMIN}/exports`, { token: officer.token, body })).status;
    expect(await make({ case_id: 'C-4', reason: 'r' })).toBe(400);
    expect(await make({ case_id: 'C-4', reason: 'r', rooms: ['!nowhere:example.org'] })).toBe(404);
    expect(await make({ reason: 'r', everything: true })).toBe(400);
  });
});

describe('an erasure', { timeout: TIMEOUT_MS }, () => {
  it('is asked for by the data-protection officer, takes exports with it, and has a certificate', async () => {
    const make = async (body: object) => {
      const { export_id: id } = await server.ok('POST', `${ADMIN}/exports`, { token: officer.token, body });
      await exported(id);
      return id;
    };
    const [ofAlice, ofBob] = [
      await make({ case_id: 'C-5', reason: 'r', rooms: [room] }),
      await make({ case_id: 'C-6', reason: 'r', users: [bob.userId] }),
    ];
    const body = { user_id: alice.userId, reason: 'wishes to be forgotten', case_id: 'DP-1' };
    const { erasure_id: id } = await server.ok('POST', `${ADMIN}/erasures`, { token: dpo.token, body });
    const done = await ended(`${ADMIN}/erasures/${id}`, dpo, 'requested');
    expect(done).toMatchObject({
      state: 'completed',
      requested_by: dpo.userId,
      certificate: { document: expect.stringContaining(alice.userId), note: expect.stringContaining('example.org') },
    });
    expect(await filesUnder(server.path('data'), SECRET)).toEqual([]);
    const status = async (one: unknown) =>
      (await server.call('GET', `${ADMIN}/exports/${one}`, { token: officer.token })).status;
    expect([await status(ofAlice), await status(ofBob)]).toEqual([404, 200]);
    expect(await entries('--action', 'export.remove', '--case', 'C-5')).toMatchObject([
      { actor: { kind: 'server', task: 'exports' }, why: `${alice.userId} is erased` },
    ]);
    const { erasures } = await server.ok('GET', `${ADMIN}/erasures?case_id=DP-1`, { token: dpo.token });
    expect(erasures).toMatchObject([{ erasure_id: id, state: 'completed' }]);
  });
});

describe('a proof', () => {
  it('that an entry of the audit log is there is given to an auditor, who checks it offline', async () => {
    const auditor = await withRole('auditor', 'auditor');
    const { token } = auditor;
    const { entries: found } = await server.ok('GET', `${ADMIN}/audit?action=role.grant&limit=1`, { token });
    const { position } = (found as { position: number }[])[0] ?? { position: -1 };
    const proof = await server.ok('GET', `${ADMIN}/proofs/${position}`, { token });
    const file = server.path('proof.json');
    await writeFile(file, JSON.stringify(proof));
    const { text: key } = await server.ok('GET', '/_stele/log/key');
    const check = async () =>
      runCommandLine(['proof', 'check', file, '--key', String(key).trim()], { ...SILENT, workingDir: server.folder });
    expect(await check()).toBe(0);
    await writeFile(file, JSON.stringify({ ...proof, leaf_index: position + 1 }));
    expect(await check()).toBe(1);
    const status = async (at: string, person: Person) =>
      (await server.call('GET', `${ADMIN}/proofs/${at}`, { token: person.token })).status;
    expect([await status('999999999', auditor), await status('x', auditor), await status('1', reviewer)]).toEqual([
      404, 400, 403,
    ]);
    expect(await entries('--action', 'proof.read')).toMatchObject([
      { actor: { user_id: auditor.userId }, after: { position } },
    ]);
  });
});

describe('retention', () => {
  it('is planned in the background, and its policy can be asked of any time', async () => {
    const { task_id: id } = await server.ok('POST', `${ADMIN}/retention/plan`, {
      token: dpo.token,
      body: { limit: 5 },
    });
    const plan = await ended(`${ADMIN}/retention/tasks/${id}`, dpo, 'active');
    expect(plan).toMatchObject({ status: 'complete', result: { until: expect.any(String), sums: expect.any(Array) } });
    const policy = await server.ok('GET', `${ADMIN}/retention/policy`, { token: dpo.token });
    expect(policy).toMatchObject({ policy: { classes: { messages: expect.any(Object) } } });
    const before = await server.call('GET', `${ADMIN}/retention/policy?at_ts=1`, { token: dpo.token });
    expect(before.status).toBe(404);
    const run = await server.call('POST', `${ADMIN}/retention/run`, { token: dpo.token, body: {} });
    expect(run.status).toBe(403);
  });

  it('that another policy came into force is on record, with what there was before', async () => {
    await server.stop();
    await server.configure('data', 'retention: { classes: { messages: { max: 30d } } }\n');
    await server.start();
    const THIRTY_DAYS_MS = 30 * 24 * 3_600_000;
    await expect
      .poll(() => entries('--action', 'policy.change'))
      .toMatchObject([
        { actor: { kind: 'server' }, after: { classes: { messages: { maxMs: null } } } },
        {
          target: { kind: 'policy', id: 'retention' },
          before: { classes: { messages: { maxMs: null } } },
          after: { classes: { messages: { maxMs: THIRTY_DAYS_MS } } },
        },
      ]);
  });
});
