/**
 * The eight questions of an auditor, each answered by commands on what was handed over: a copy of the data folder, a backup, an
 * export, a certificate, heads of the log that were kept elsewhere. No server runs, and the copy stays as it was.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { linesIn } from '#ops/export/files.ts';
import type { EventLine, WithheldLine } from '#ops/export/layout.ts';
import type { TestUser } from '#test/support/stele-process.ts';
import { Auditor, filesWith, Story, SUBJECTS_WORDS } from './auditor-story.test-support.ts';

const STORY_MS = 600_000;
const QUESTION_MS = 300_000;

let story: Story;
let auditor: Auditor;
let root: TestUser;
let bob: TestUser;
let custodian: TestUser;
let subject: TestUser;
let logKey: string;
let before: Record<string, string>;

const id = (name: string): string => story.ids[name] ?? '';
const room = (name: string): string => encodeURIComponent(id(name));
const time = (name: string): string => new Date(story.times[name] ?? 0).toISOString();
const CASE = ['--case', 'C-17', '--reason', 'a lawsuit'];

/** People talk; an administrator reads; a first backup is made. */
async function peopleTalk(): Promise<void> {
  root = await story.administrator('root');
  [bob, custodian, subject] = [
    await story.stele.register('bob'),
    await story.stele.register('custodian'),
    await story.stele.register('subject'),
  ];
  story.times['begin'] = Date.now();
  story.ids['R'] = await story.room(bob, { preset: 'public_chat', name: 'Quarry' });
  story.ids['E'] = await story.room(bob, {
    name: 'Hidden',
    initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  });
  const short = { type: 'm.room.retention', state_key: '', content: { max_lifetime: 1 } };
  story.ids['K'] = await story.room(custodian, { preset: 'public_chat', name: 'Short-lived', initial_state: [short] });
  await custodian.call('POST', `/join/${room('R')}`, {});
  story.ids['M'] = await story.send(custodian, id('R'), { msgtype: 'm.text', body: 'The price is 10' });
  story.ids['edit'] = await story.send(custodian, id('R'), {
    msgtype: 'm.text',
    body: '* The price is 20',
    'm.new_content': { msgtype: 'm.text', body: 'The price is 20' },
    'm.relates_to': { rel_type: 'm.replace', event_id: id('M') },
  });
  const redaction = await bob.call('PUT', `/rooms/${room('R')}/redact/${encodeURIComponent(id('M'))}/1`, {
    reason: 'not for everybody',
  });
  story.ids['redaction'] = String(redaction['event_id']);
  // After the redaction: what was said around it is evidence about the custodian, and on hold with that.
  await subject.call('POST', `/join/${room('R')}`, {});
  story.ids['S'] = await story.send(subject, id('R'), { msgtype: 'm.text', body: `${SUBJECTS_WORDS}, please` });
  await subject.call('PUT', `/profile/${subject.userId}/displayname`, { displayname: `${SUBJECTS_WORDS} lover` });
  await story.upload(subject, `${SUBJECTS_WORDS}: a recipe`);
  await story.send(custodian, id('K'), { msgtype: 'm.text', body: 'Gone in a moment' });
  story.ids['media'] = await story.upload(custodian, 'the ledger');
  await story.send(bob, id('E'), { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'AwgA' }, 'm.room.encrypted');
  const at = `/_synapse/admin/v1/rooms/${room('R')}/messages?dir=f`;
  expect((await story.ask(root, 'GET', at)).status).toBe(403);
  const grounds = { 'X-Stele-Reason': 'a complaint', 'X-Stele-Case': 'C-9' };
  expect((await story.ask(root, 'GET', at, grounds)).status).toBe(200);
  await story.keepHead('A');
  await story.stele.start();
  await story.operatorJson('backup', story.path('backup'), '--keyring', story.path('keys'));
}

/** A hold is set, and everything is tried against it. */
async function holdIsTried(): Promise<void> {
  const held = await story.operatorJson('hold', 'add', '--user', custodian.userId, ...CASE);
  story.ids['hold'] = String(held['hold_id']);
  story.times['hold'] = Date.now();
  await story.operatorJson('retention', 'run');
  const refusals: readonly [string, string, string, object?][] = [
    ['room', 'DELETE', `/_synapse/admin/v1/rooms/${room('K')}`, { purge: true }],
    ['media', 'DELETE', `/_synapse/admin/v1/media/localhost/${id('media')}`],
  ];
  for (const [name, method, at, body] of refusals) {
    const answer = await story.ask(root, method, at, {}, body);
    story.refused[name] = `${answer.status} ${String(answer.body['error'])}`;
  }
  const history = await story.ask(
    root,
    'POST',
    `/_synapse/admin/v1/purge_history/${room('K')}`,
    {},
    {
      purge_up_to_ts: Date.now() + 60_000,
    },
  );
  expect(history.status, JSON.stringify(history.body)).toBe(200);
  const erased = await story.operator('erase', custodian.userId, '--case', 'DP-1', '--reason', 'by letter');
  story.refused['erase'] = `${erased.status} ${erased.stderr}`;
  await story.operatorJson('backup', story.path('backup'), '--keyring', story.path('keys'));
  const pruned = await story.operator('backup', 'prune', story.path('backup'), '--keep', '1');
  story.refused['prune'] = `${pruned.status} ${pruned.stdout}`;
}

/** The subject is erased, a drill is held, the settings change, and what is asked for is exported. */
async function theRest(): Promise<void> {
  const out = story.path('certificate');
  const erased = await story.operator('erase', subject.userId, '--case', 'DP-2', '--reason', 'by letter', '--out', out);
  expect(erased.status, erased.stderr).toBe(0);
  await story.operatorJson('drill', story.path('backup'), '--keyring', story.path('keys'));
  story.times['D'] = Date.now();
  await story.keepHead('B');
  await story.configure({ retention: { redacted: '30d' }, media: { max_upload: '7MiB' } });
  await story.stele.start();
  await story.keepHead('end');
  const asked = ['--room', id('R'), ...CASE];
  const made = await story.operator('export', 'case', '--out', story.path('of-R'), ...asked);
  expect(made.status, made.stderr).toBe(0);
  const all = await story.operator('export', 'case', '--out', story.path('of-all'), '--everything', ...CASE);
  expect(all.status, all.stderr).toBe(0);
}

beforeAll(async () => {
  story = await Story.begin();
  await peopleTalk();
  await holdIsTried();
  await theRest();
  auditor = await Auditor.with(story, story.stele.dataDir, 'copy');
  logKey = String((await auditor.lines('verify'))[0]?.['logKey']);
  before = await auditor.digests();
}, STORY_MS);

afterAll(() => story?.stele.remove());

it(
  '1: a message as it was sent, its edit and its deletion, by whom and when, and that none was altered',
  async () => {
    const checked = await auditor.plain('export', 'verify', story.path('of-R'), '--key', logKey, '--json');
    expect(checked.status, checked.stdout).toBe(0);
    expect(JSON.parse(checked.stdout)).toMatchObject({ ok: true, isKeyTrusted: true, findings: [] });
    const events = new Map<string, EventLine>();
    for await (const line of linesIn<EventLine>(story.path('of-R', 'events'))) events.set(line.event_id, line);
    expect(events.get(id('M'))?.pdu).toMatchObject({
      sender: custodian.userId,
      content: { body: 'The price is 10' },
      origin_server_ts: expect.any(Number),
      signatures: { localhost: {} },
    });
    expect(events.get(id('edit'))?.pdu).toMatchObject({
      sender: custodian.userId,
      content: { 'm.new_content': { body: 'The price is 20' } },
    });
    expect(events.get(id('redaction'))?.pdu).toMatchObject({
      sender: bob.userId,
      content: { reason: 'not for everybody' },
    });
    const proof = await auditor.run('proof', id('M'), '--with-content', '--read-only');
    await writeFile(story.path('M.json'), proof.stdout);
    const proven = await auditor.plain('proof', 'check', story.path('M.json'), '--key', logKey);
    expect(proven.status, proven.stderr).toBe(0);
    expect(proven.stdout).toContain('The price is 10');
    // A word that was changed afterwards is found out.
    const touched = story.path('touched');
    await cp(story.path('of-R'), touched, { recursive: true });
    const file = path.join(touched, 'events', '000001.jsonl');
    await writeFile(file, (await readFile(file, 'utf8')).replace('The price is 10', 'The price is 11'));
    expect((await auditor.plain('export', 'verify', touched, '--key', logKey)).status).toBe(1);
  },
  QUESTION_MS,
);

it(
  '2: nothing between two places of the log was removed',
  async () => {
    const [sizeA, sizeB] = [await story.sizeAt('A'), await story.sizeAt('B')];
    expect(sizeB).toBeGreaterThan(sizeA);
    const [whole] = await auditor.lines(
      ...['verify', '--events', '--from', String(sizeA)],
      ...['--checkpoint', story.heads['A'] ?? '', '--checkpoint', story.heads['B'] ?? ''],
    );
    // It begins where a tile does.
    expect(whole).toMatchObject({ ok: true, findings: [] });
    expect(Number(whole?.['from'])).toBeLessThanOrEqual(sizeA);
    const proof = await auditor.run('proof', 'consistency', story.heads['A'] ?? '');
    await writeFile(story.path('consistent.json'), proof.stdout);
    const proven = await auditor.plain('proof', 'check', story.path('consistent.json'), '--key', logKey);
    expect(proven.status, proven.stderr).toBe(0);
    // A head with another root is not one of this log.
    const [origin, size] = (await readFile(story.heads['A'] ?? '', 'utf8')).split('\n');
    await writeFile(story.path('wrong.checkpoint'), `${origin}\n${size}\n${Buffer.alloc(32).toString('base64')}\n\n`);
    expect((await auditor.run('verify', '--checkpoint', story.path('wrong.checkpoint'))).status).toBe(1);
  },
  QUESTION_MS,
);

it(
  '3: who read a room, administrators and exports included, from where, and under which case',
  async () => {
    const range = ['--from', time('begin'), '--to', new Date(Date.now() + 60_000).toISOString()];
    const entries = await auditor.lines('audit', '--room', id('R'), ...range, '--read-only');
    const reads = entries.filter(({ action }) => action === 'content.read' || action === 'export.make');
    expect(reads).toMatchObject([
      {
        action: 'content.read',
        outcome: 'allowed',
        actor: { kind: 'user', user_id: root.userId },
        ip: '127.0.0.1',
        reason: 'a complaint',
        case_id: 'C-9',
      },
      { action: 'export.make', actor: { kind: 'operator' }, case_id: 'C-17', reason: 'a lawsuit' },
      { action: 'export.make', actor: { kind: 'operator' }, case_id: 'C-17' },
    ]);
    const [first] = reads;
    const proof = await auditor.run('proof', String(first?.['position']), '--with-content', '--read-only');
    expect(proof.status, proof.stderr).toBe(0);
    const members = await auditor.run('rooms', 'audience', id('M'), '--json', '--read-only');
    expect(members.status, members.stderr).toBe(0);
    const { users } = JSON.parse(members.stdout) as { users: { user_id: string }[] };
    expect(users.map(({ user_id }) => user_id).sort()).toEqual([bob.userId, custodian.userId, subject.userId].sort());
  },
  QUESTION_MS,
);

it(
  '4: what a hold covers stayed, whatever asked for it to go, and each refusal names the hold',
  async () => {
    expect(story.refused['room']).toMatch(/^403 /);
    expect(story.refused['media']).toMatch(/^403 /);
    expect(story.refused['erase']).toMatch(/^1 /);
    expect(story.refused['prune']).toMatch(/^0 .* kept: /);
    for (const [path, answer] of Object.entries(story.refused)) expect(answer, path).toContain(id('hold'));
    const holds = await auditor.lines('hold', 'list', '--read-only');
    expect(holds).toMatchObject([
      { hold_id: id('hold'), case_id: 'C-17', scope: { user_id: custodian.userId }, released: null },
    ]);
    const refusals = await auditor.lines('hold', 'refusals', id('hold'), '--read-only');
    expect(new Set(refusals.map(({ cause }) => cause))).toEqual(
      new Set([
        ...['retention', 'redaction', 'room_purge', 'history_purge', 'media_removal', 'erasure'],
        ...['backup_prune', 'request', 'former_password'],
      ]),
    );
    for (const { why } of refusals) expect(why).toContain(id('hold'));
  },
  QUESTION_MS,
);

it(
  '5: the subject is erased: the certificate holds, the log is what it was, and no backup brings them back',
  async () => {
    const folder = story.path('certificate');
    const checked = await auditor.plain('erase', 'check', folder, '--key', logKey, '--json');
    expect(checked.status, checked.stderr).toBe(0);
    expect(JSON.parse(checked.stdout)).toMatchObject({ ok: true, subject: subject.userId });
    const { log } = JSON.parse(await readFile(path.join(folder, 'certificate.json'), 'utf8')) as {
      log: { head_before: string; head_after: string };
    };
    for (const [name, head] of Object.entries(log)) await writeFile(story.path(`${name}.checkpoint`), head);
    const heads = ['head_before', 'head_after'].flatMap((name) => ['--checkpoint', story.path(`${name}.checkpoint`)]);
    const verified = await auditor.run('verify', ...heads);
    expect(verified.status, verified.stdout).toBe(0);
    const forged = story.path('forged');
    await cp(folder, forged, { recursive: true });
    const document = path.join(forged, 'certificate.json');
    await writeFile(document, (await readFile(document, 'utf8')).replace('"messages": ', '"messages": 1'));
    expect((await auditor.plain('erase', 'check', forged, '--key', logKey)).status).toBe(1);

    expect(await filesWith(auditor.folder, SUBJECTS_WORDS)).toEqual([]);
    const withheld: WithheldLine[] = [];
    for await (const line of linesIn<WithheldLine>(story.path('of-R', 'withheld'))) withheld.push(line);
    expect(withheld.find(({ event_id }) => event_id === id('S'))).toMatchObject({
      cause: 'erasure',
      decided_in_record: expect.any(Number),
      erasure_id: (JSON.parse(checked.stdout) as Record<string, unknown>)['request_id'],
      certificate_in_record: expect.any(Number),
    });

    // The backup of before the erasure, with the list of what was erased since, as the certificate's copy of the folder has it.
    const restored = story.path('restored');
    const report = await auditor.lines(
      ...['restore', story.path('backup'), '--keyring', story.path('keys'), '--to', restored],
      ...['--at', String((await story.sizeAt('A')) - 1), '--log-key', logKey],
    );
    expect(report[0]).toMatchObject({ ok: true });
    const again = await Auditor.with(story, restored, 'restored-copy');
    expect(await filesWith(again.folder, SUBJECTS_WORDS)).toEqual([]);
    const out = story.path('of-restored');
    const made = await again.run('export', 'case', '--out', out, '--room', id('R'), ...CASE);
    expect(made.status, made.stderr).toBe(0);
    const events = new Map<string, EventLine>();
    for await (const line of linesIn<EventLine>(path.join(out, 'events'))) events.set(line.event_id, line);
    expect(events.get(id('S'))).toMatchObject({ is_destroyed: true, pdu: { sender: subject.userId, content: {} } });
    expect(events.get(id('M'))?.pdu.content).toMatchObject({ body: 'The price is 10' });
    expect(await filesWith(out, SUBJECTS_WORDS)).toEqual([]);
  },
  QUESTION_MS,
);

it(
  '6: which rooms are outside of what can be read, since they are encrypted',
  async () => {
    const checked = await auditor.plain('export', 'verify', story.path('of-all'), '--key', logKey, '--json');
    const { manifest } = JSON.parse(checked.stdout) as {
      manifest: { encrypted_rooms: string[]; rooms: { room_id: string; is_encrypted: boolean }[] };
    };
    expect(checked.status).toBe(0);
    expect(manifest.encrypted_rooms).toEqual([id('E')]);
    expect(manifest.rooms.filter((one) => one.is_encrypted).map(({ room_id }) => room_id)).toEqual([id('E')]);
  },
  QUESTION_MS,
);

it(
  '7: which settings and which retention policy were in force on a day',
  async () => {
    const policyAt = async (at: string) => (await auditor.lines('retention', 'policy', '--at', at, '--read-only'))[0];
    expect(await policyAt(time('D'))).toMatchObject({
      position: expect.any(Number),
      policy: { redacted_ms: 1, classes: { messages: { max_ms: 3650 * 86_400_000 } } },
    });
    expect(await policyAt(new Date(Date.now() + 60_000).toISOString())).toMatchObject({
      policy: { redacted_ms: 30 * 86_400_000 },
    });
    const settings = await auditor.lines('audit', '--action', 'configuration.change', '--to', time('D'), '--read-only');
    expect(settings.at(-1)).toMatchObject({ after: { settings: { 'media.max_upload': 100 * 1024 * 1024 } } });
    const later = await auditor.lines('audit', '--action', 'configuration.change', '--read-only');
    expect(later.at(-1)).toMatchObject({
      before: { 'media.max_upload': 100 * 1024 * 1024 },
      after: {
        changed: expect.arrayContaining(['media.max_upload']),
        settings: { 'media.max_upload': 7 * 1024 * 1024 },
      },
    });
  },
  QUESTION_MS,
);

it(
  '8: when a restore was drilled, how long it took, and which head of the log it was held against',
  async () => {
    const drills = await auditor.lines('audit', '--action', 'backup.drill', '--read-only');
    expect(drills).toMatchObject([
      {
        at: expect.any(String),
        actor: { kind: 'operator' },
        after: { fields: { passed: true, seconds: expect.any(Number), firstVerifiedCheckpoint: expect.any(String) } },
      },
    ]);
    const [drill] = drills as { after: { fields: { firstVerifiedCheckpoint: string } } }[];
    await writeFile(story.path('drilled.checkpoint'), drill?.after.fields.firstVerifiedCheckpoint ?? '');
    const verified = await auditor.run('verify', '--checkpoint', story.path('drilled.checkpoint'));
    expect(verified.status, verified.stdout).toBe(0);
  },
  QUESTION_MS,
);

it(
  'an answer that was changed in what is handed over is found out',
  async () => {
    const [read] = await auditor.lines('audit', '--room', id('R'), '--action', 'content.read', '--read-only');
    const [drill] = await auditor.lines('audit', '--action', 'backup.drill', '--read-only');
    const [policy] = await auditor.lines('retention', 'policy', '--at', time('D'), '--read-only');
    const decided: number[] = [];
    for await (const line of linesIn<WithheldLine>(story.path('of-R', 'withheld'))) {
      if (line.decided_in_record !== undefined) decided.push(line.decided_in_record);
    }
    const positions = [read, drill, policy].map((line) => Number(line?.['position']));
    for (const [number, position] of [...positions, decided[0] ?? -1].entries()) {
      const forged = await Auditor.with(story, auditor.folder, `forged-${number}`);
      await forged.changeRecord(position);
      const { status, stdout } = await forged.run('verify', '--json');
      const { findings } = JSON.parse(stdout) as { findings: { kind: string }[] };
      expect(status).toBe(1);
      expect(findings.map(({ kind }) => kind)).toContain('damaged');
    }
    // Tables are made of the log, and who touches them only is found when they are made again.
    const hidden = await Auditor.with(story, auditor.folder, 'hidden');
    expect((await hidden.run('replay', '--check')).status).toBe(0);
    await hidden.hideEntries();
    expect(await hidden.lines('audit', '--room', id('R'), '--action', 'content.read', '--read-only')).toEqual([]);
    expect((await hidden.run('verify')).status).toBe(0);
    expect((await hidden.run('replay', '--check')).status).toBe(1);
  },
  QUESTION_MS,
);

it('leaves the copy as it was handed over', async () => {
  expect(await auditor.digests()).toEqual(before);
});
