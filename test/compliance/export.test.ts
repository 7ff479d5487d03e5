/**
 * `stele export` from outside: what people did is in it in every form, it proves itself offline, and what was touched is found.
 * The forms are read by programs that nobody here wrote, where the machine has them.
 */
import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { access, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { unzipSync } from 'fflate';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linesIn } from '#ops/export/files.ts';
import type { EventLine, Manifest, MediaLine, MemberLine } from '#ops/export/layout.ts';
import { findChromium, launchChromium } from '#test/support/browser.ts';
import { SteleProcess, type TestUser } from '#test/support/stele-process.ts';

const chromium = await findChromium();
if (chromium === undefined)
  console.warn('SKIPPED: the pages of an export are not opened in a browser: there is no Chromium.');
const python = [process.env['STELE_TEST_SYNAPSE_PYTHON'], 'python3'].find(
  (name) => name !== undefined && spawnSync(name, ['-c', 'import email']).status === 0,
);
if (python === undefined)
  console.warn('SKIPPED: the mails of an export are not read by another program: there is no Python.');
const hasModule = (name: string): boolean =>
  python !== undefined && spawnSync(python, ['-c', `import ${name}`]).status === 0;
const [hasArrow, hasDuck] = [hasModule('pyarrow'), hasModule('duckdb')];
if (!hasArrow) console.warn('SKIPPED: the Parquet of an export is not read by pyarrow: there is none.');
if (!hasDuck) console.warn('SKIPPED: the Parquet of an export is not asked by DuckDB: there is none.');

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

let stele: SteleProcess;
let folder: string;
let alice: TestUser;
let bob: TestUser;
let carol: TestUser;
let room: string;
let other: string;
let mxc: string;
const ids: Record<string, string> = {};

beforeAll(async () => {
  stele = await SteleProcess.make();
  folder = await mkdtemp(join(tmpdir(), 'stele-export-'));
  await stele.start();
  [alice, bob, carol] = (await Promise.all(['alice', 'bob', 'carol'].map((name) => stele.register(name)))) as [
    TestUser,
    TestUser,
    TestUser,
  ];
  await alice.call('PUT', `/profile/${alice.userId}/displayname`, { displayname: 'Alice <b>' });
  room = await create(alice, { name: 'Quarry & sons', preset: 'public_chat' });
  other = await create(carol, { name: 'Elsewhere' });
  await bob.call('POST', `/rooms/${encodeURIComponent(room)}/join`, {});
  const say = (who: TestUser, key: string, content: object, type = 'm.room.message') =>
    send(who, room, key, content, type);
  await say(alice, 'hello', { msgtype: 'm.text', body: 'Hello <script>alert(1)</script>' });
  await say(alice, 'formula', { msgtype: 'm.text', body: '=1+1, "quoted"\nand more' });
  await say(alice, 'first', { msgtype: 'm.text', body: 'The price is 10' });
  await say(alice, 'edit', {
    msgtype: 'm.text',
    body: '* The price is 20',
    'm.new_content': { msgtype: 'm.text', body: 'The price is 20' },
    'm.relates_to': { rel_type: 'm.replace', event_id: ids['first'] },
  });
  await say(
    bob,
    'reaction',
    { 'm.relates_to': { rel_type: 'm.annotation', event_id: ids['first'], key: '👍' } },
    'm.reaction',
  );
  await say(bob, 'thread', {
    msgtype: 'm.text',
    body: 'In a thread',
    'm.relates_to': { rel_type: 'm.thread', event_id: ids['first'] },
  });
  await say(bob, 'secret', { msgtype: 'm.text', body: 'Nobody must see this' });
  const uploaded = await fetch(`${stele.url}/_matrix/media/v3/upload?filename=stone.png`, {
    method: 'POST',
    headers: { authorization: `Bearer ${alice.accessToken}`, 'content-type': 'image/png' },
    body: PIXEL,
  });
  mxc = String(((await uploaded.json()) as { content_uri: string }).content_uri);
  await say(alice, 'image', { msgtype: 'm.image', body: 'stone.png', url: mxc });
  await say(alice, 'encrypted', { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'AwgA' }, 'm.room.encrypted');
  const redacted = await alice.call(
    'PUT',
    `/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(ids['secret'] ?? '')}/r1`,
    { reason: 'said too much' },
  );
  ids['redaction'] = String(redacted['event_id']);
  await send(carol, other, 'elsewhere', { msgtype: 'm.text', body: 'Not of the case' });
});

afterAll(async () => {
  await stele.remove();
  await rm(folder, { recursive: true, force: true });
});

describe('an export of a room', () => {
  let out: string;
  let manifest: Manifest;
  let events: EventLine[];

  beforeAll(async () => {
    out = join(folder, 'room');
    await published();
    await exported(out, ['--room', room]);
    manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8')) as Manifest;
    events = await all(linesIn<EventLine>(join(out, 'events')));
  });

  it('has every event as it was sent, the redacted one too, and none of another room', () => {
    const bodies = new Map(events.map(({ event_id, pdu }) => [event_id, pdu.content['body']]));
    expect(bodies.get(ids['secret'] ?? '')).toBe('Nobody must see this');
    expect(bodies.get(ids['first'] ?? '')).toBe('The price is 10');
    expect(events.every(({ room_id }) => room_id === room)).toBe(true);
    expect(events.find(({ event_id }) => event_id === ids['hello'])).toMatchObject({
      sender_name: 'Alice <b>',
      because: 'asked_for',
      disposition: 'accepted',
      pdu: { sender: alice.userId, hashes: {}, signatures: { localhost: {} } },
    });
    expect(manifest.counts).toMatchObject({
      rooms: 1,
      exported: events.length,
      left_out: 0,
      encrypted_events: 1,
      media: 1,
    });
    expect(manifest.encrypted_rooms).toEqual([room]);
  });

  it('names the members, and the media with their digests', async () => {
    const members = await all(linesIn<MemberLine>(join(out, 'members')));
    expect(members.map(({ user_id, membership }) => [user_id, membership])).toEqual([
      [alice.userId, 'join'],
      [bob.userId, 'join'],
    ]);
    const [media] = (await readFile(join(out, 'media.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as MediaLine);
    expect(media).toMatchObject({ mxc, file_name: 'stone.png', event_ids: [ids['image']] });
    expect(await readFile(join(out, media?.path ?? ''))).toEqual(PIXEL);
  });

  it('is a table in CSV, and the same in Parquet', async () => {
    const csv = await readFile(join(out, 'events.csv'), 'utf8');
    expect(csv).toContain(`"'=1+1, ""quoted""\nand more"`);
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(join(out, 'events.parquet')) });
    expect(rows).toHaveLength(events.length);
    expect(rows.find(({ event_id }) => event_id === ids['first'])).toMatchObject({
      text: 'The price is 10',
      last_text: 'The price is 20',
      edits: 1n,
      sender_name: 'Alice <b>',
    });
    expect(rows.find(({ event_id }) => event_id === ids['secret'])).toMatchObject({
      redacted_by: alice.userId,
      redaction: ids['redaction'],
    });
  });

  it('can be read in a browser: edits, deletions, threads, images, and nothing that runs', async () => {
    const index = await readFile(join(out, 'html', 'index.html'), 'utf8');
    expect(index).toContain('Quarry &amp; sons');
    const page = await readFile(join(out, 'html', 'room-00001', '1.html'), 'utf8');
    expect(page).not.toContain('<script');
    expect(page).toContain('Hello &lt;script&gt;');
    expect(page).toMatch(/The price is 20<\/div>\s*<details><summary>Edited 1 times/);
    expect(page).toMatch(
      /class="text gone">Nobody must see this<\/div>\s*<div class="note">Taken away by @alice:localhost at [^<]*: said too much/,
    );
    expect(page).toContain('in the thread of');
    expect(page).toContain('👍 1');
    expect(page).toMatch(/<img src="\.\.\/\.\.\/media\/[0-9a-f]{64}\.png"/);
  });

  it('is RSMF: messages with a ZIP that says what was said, changed and taken away', async () => {
    const [name = ''] = await readdir(join(out, 'rsmf'));
    const mail = await readFile(join(out, 'rsmf', name), 'utf8');
    expect(mail).toMatch(/^X-RSMF-Version: 2\.0\.0\r$/m);
    const base64 = /filename=rsmf\.zip[\s\S]*?\r\n\r\n([A-Za-z0-9+/=\r\n]+)/.exec(mail)?.[1] ?? '';
    const files = unzipSync(Buffer.from(base64, 'base64'));
    expect(Object.keys(files)).toHaveLength(2);
    const rsmf = JSON.parse(Buffer.from(files['rsmf_manifest.json'] ?? []).toString()) as {
      events: Record<string, unknown>[];
    };
    expect(rsmf.events.find(({ id }) => id === ids['first'])).toMatchObject({
      body: 'The price is 20',
      edits: [{ previous: 'The price is 10', new: 'The price is 20' }],
      reactions: [{ value: '👍', count: 1, participants: [bob.userId] }],
    });
    expect(rsmf.events.find(({ id }) => id === ids['secret'])).toMatchObject({
      deleted: true,
      body: 'Nobody must see this',
    });
  });

  it.skipIf(chromium === undefined)('opens in a browser, from the disk, and asks for nothing', async () => {
    const browser = await launchChromium(chromium ?? '');
    try {
      const page = await browser.newPage();
      const complaints: string[] = [];
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('request', (request) => expect(request.url()).toMatch(/^file:/));
      await page.goto(pathToFileURL(join(out, 'html', 'index.html')).href);
      await page.click('text=Quarry & sons');
      await page.waitForSelector('img');
      await page.locator('img').scrollIntoViewIfNeeded();
      await page.waitForFunction('document.images[0].naturalWidth === 1');
      expect(await page.locator('.event .text').first().textContent()).toBe('made the room');
      await page.click('summary');
      expect(await page.locator('details li').allTextContents()).toEqual([
        expect.stringContaining('The price is 10'),
        expect.stringContaining('The price is 20'),
      ]);
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  it.skipIf(python === undefined)('has mails that the mail and ZIP packages of Python read', async () => {
    const [name = ''] = await readdir(join(out, 'rsmf'));
    const read = runPython(
      `
import email, email.policy, io, json, sys, zipfile
mail = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
[attached] = list(mail.iter_attachments())
files = zipfile.ZipFile(io.BytesIO(attached.get_content()))
assert files.testzip() is None
manifest = json.loads(files.read('rsmf_manifest.json'))
assert mail['X-RSMF-EventCount'] == str(len(manifest['events'])), mail['X-RSMF-EventCount']
assert not mail.defects, mail.defects
print(json.dumps([attached.get_filename(), mail['subject'], files.namelist(), [e['timestamp'] for e in manifest['events']]]))
`,
      join(out, 'rsmf', name),
    ) as [string, string, string[], string[]];
    expect(read[0]).toBe('rsmf.zip');
    expect(read[1]).toContain('Quarry & sons');
    expect(read[2]).toHaveLength(2);
    expect(read[3]).toEqual([...read[3]].sort());
  });

  it.skipIf(!hasArrow)('has a table that pyarrow reads', () => {
    const rows = runPython(
      `
import json, sys, pyarrow.parquet as parquet
table = parquet.read_table(sys.argv[1])
print(json.dumps([table.num_rows, str(table.schema.field('sent_at').type), str(table.schema.field('edits').type)]))
`,
      join(out, 'events.parquet'),
    );
    expect(rows).toEqual([events.length, expect.stringMatching(/^timestamp\[ms/), 'int64']);
  });

  it.skipIf(!hasDuck)('has a table that DuckDB answers questions about', () => {
    const rows = runPython(
      `
import json, sys, duckdb
print(json.dumps(duckdb.execute('select count(*), count(distinct sender), max(edits) from read_parquet(?)', [sys.argv[1]]).fetchone()))
`,
      join(out, 'events.parquet'),
    );
    const senders = new Set(events.map(({ pdu }) => pdu['sender']));
    expect(rows).toEqual([events.length, senders.size, expect.any(Number)]);
  });

  it('proves itself without server, data or configuration', async () => {
    const checked = await stele.run('export', 'verify', out, '--json');
    expect(JSON.parse(checked.stdout)).toMatchObject({
      ok: true,
      findings: [],
      events: events.length,
      isKeyTrusted: false,
    });
    expect(checked.status).toBe(0);
    const trusted = await stele.run('export', 'verify', out, '--key', manifest.log.key);
    expect(trusted).toMatchObject({ status: 0, stderr: expect.stringContaining('Signed with the key that you gave') });
  });

  it('is the same, byte for byte, when it is made again of the same checkpoint', async () => {
    await send(bob, room, 'later', { msgtype: 'm.text', body: 'After the checkpoint' });
    await published();
    const again = join(folder, 'again');
    await exported(again, ['--room', room, '--checkpoint', join(out, 'checkpoint')]);
    const paths = await filesIn(out);
    expect(await filesIn(again)).toEqual(paths);
    for (const path of paths)
      expect((await readFile(join(again, path))).equals(await readFile(join(out, path))), path).toBe(true);
  });

  it.each([
    [
      'a word in an event',
      'events/000001.jsonl',
      (text: string) => text.replace('The price is 10', 'The price is 11'),
      /is not what was signed/,
    ],
    [
      'an event left out',
      'events/000001.jsonl',
      (text: string) => text.slice(text.indexOf('\n') + 1),
      /is exported, but its event is missing/,
    ],
    [
      'a record left out',
      'records/000001.jsonl',
      (text: string) => text.slice(text.indexOf('\n') + 1),
      /of its records 0 to/,
    ],
    [
      'a digest in a record',
      'records/000001.jsonl',
      (text: string) => text.replace(/"digest":"..../, '"digest":"AAAA'),
      /not in the log that was signed/,
    ],
    [
      'a count',
      'manifest.json',
      (text: string) => text.replace(/"exported": (\d+)/, '"exported": 1'),
      /signature of another manifest/,
    ],
    ['a file too many', 'notes.txt', () => 'hello', /notes.txt is not part of the export/],
  ])('with %s changed it is found out', async (what, path, change, finding) => {
    const touched = join(folder, what.replaceAll(' ', '-'));
    await cp(out, touched, { recursive: true });
    const before = await readFile(join(touched, path), 'utf8').catch(() => '');
    const after = change(before);
    expect(after).not.toBe(before);
    await writeFile(join(touched, path), after);
    const checked = await stele.run('export', 'verify', touched);
    expect(checked.status).toBe(1);
    expect(checked.stderr).toMatch(finding);
  });

  it('of another log does not pass for one of the trusted log', async () => {
    const key = manifest.log.key.replace(/\+[0-9a-f]{8}\+.*/, '+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
    const checked = await stele.run('export', 'verify', out, '--key', key);
    expect(checked.status).toBe(1);
  });
});

describe('an export of a person', () => {
  it('has what they did, and who took it away; the rest of their rooms is counted', async () => {
    const out = join(folder, 'bob');
    await published();
    await exported(out, ['--user', bob.userId]);
    const events = await all(linesIn<EventLine>(join(out, 'events')));
    expect(
      events
        .filter(({ because }) => because === 'asked_for')
        .every(({ pdu }) => pdu.sender === bob.userId || pdu.state_key === bob.userId),
    ).toBe(true);
    expect(events.find(({ event_id }) => event_id === ids['redaction'])).toMatchObject({
      because: 'redacts',
      pdu: { sender: alice.userId },
    });
    const checked = await stele.run('export', 'verify', out, '--json');
    expect(JSON.parse(checked.stdout)).toMatchObject({
      ok: true,
      manifest: { rooms: [{ left_out: { other_person: expect.any(Number) } }] },
    });
  });

  it('within a time has nothing from outside it', async () => {
    const out = join(folder, 'nobody');
    await exported(out, ['--user', alice.userId, '--to', '2020-01-01T00:00:00Z']);
    const { stdout } = await stele.run('export', 'verify', out, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, events: 0, manifest: { counts: { exported: 0 } } });
  });
});

describe('the command', () => {
  it('wants a case, a reason and a place, and says of whom', async () => {
    const missing = await stele.run('export', 'case', '--config', stele.configFile, '--room', room);
    expect(missing).toMatchObject({ status: 2, stderr: expect.stringContaining('--case') });
    const nobody = await stele.run(
      'export',
      'case',
      '--config',
      stele.configFile,
      '--case',
      'c',
      '--reason',
      'r',
      '--out',
      join(folder, 'x'),
    );
    expect(nobody).toMatchObject({ status: 2, stderr: expect.stringContaining('--user') });
  });

  it('does not write into a folder that holds something else', async () => {
    const out = await mkdtemp(join(folder, 'taken-'));
    await writeFile(join(out, 'diary.txt'), 'Dear diary');
    const refused = await run(out, ['--room', room]);
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('is not empty') });
    expect(await readdir(out)).toEqual(['diary.txt']);
  });

  it('goes on where a run was cut short', async () => {
    const out = join(folder, 'cut');
    await exported(out, ['--room', room]);
    const whole = await readFile(join(out, 'manifest.json'), 'utf8');
    const { query, case_id, log } = JSON.parse(whole) as Manifest;
    await rm(join(out, 'manifest.json'));
    await rm(join(out, 'html'), { recursive: true });
    const checkpoint = await readFile(join(out, 'checkpoint'), 'utf8');
    // As it is when the first chunk was written and the state was not: the chunk is made again.
    const collected = { next: 0, chunks: 0, isDone: false, rooms: {}, open: [] };
    await writeFile(join(out, 'unfinished.json'), JSON.stringify({ caseId: case_id, query, checkpoint, collected }));
    expect(await run(out, ['--room', other])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('another question'),
    });
    await exported(out, ['--room', room]);
    expect(await readFile(join(out, 'manifest.json'), 'utf8')).toBe(whole);
    expect((await stele.run('export', 'verify', out, '--key', log.key)).status).toBe(0);
  });
});

describe('an export that is killed at one moment after the other', () => {
  it('is in the end the same, byte for byte, as one that was not', async () => {
    const out = join(folder, 'killed');
    const args = exportArguments(out, ['--room', room]);
    const isThere = (name: string) => () =>
      access(join(out, name)).then(
        () => true,
        () => false,
      );
    const killed: string[] = [];
    for (const name of ['unfinished.json', 'events', 'html', 'events.csv', 'rsmf', 'events.parquet', 'proof']) {
      if (await isThere('manifest.json')()) break;
      if (await stele.runUntil(isThere(name), ...args)) killed.push(name);
    }
    expect(killed).toContain('unfinished.json');
    expect(killed.length).toBeGreaterThan(2);
    if (!(await isThere('manifest.json')())) await exported(out, ['--room', room]);
    const whole = join(folder, 'not-killed');
    await exported(whole, ['--room', room, '--checkpoint', join(out, 'checkpoint')]);
    expect(await digestsOf(out)).toEqual(await digestsOf(whole));
  });
});

/** SHA-256 of each file below a folder. */
async function digestsOf(top: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const entry of await readdir(top, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.isFile()) digests[relative(top, file)] = hash('sha256', await readFile(file));
  }
  return digests;
}

async function exported(out: string, args: readonly string[]): Promise<void> {
  const { status, stderr } = await run(out, args);
  expect(stderr).toContain('events of');
  expect(status).toBe(0);
}

function exportArguments(out: string, args: readonly string[]): string[] {
  const settings = ['--config', stele.configFile, '--case', 'C-1', '--reason', 'a test', '--out', out];
  return ['export', 'case', ...settings, ...args];
}

function run(out: string, args: readonly string[]) {
  return stele.run(...exportArguments(out, args));
}

/** Waits until the newest signed head covers all that was sent so far. */
async function published(): Promise<void> {
  const last = ids[Object.keys(ids).at(-1) ?? ''] ?? '';
  for (;;) {
    const { status } = await stele.run('proof', last, '--config', stele.configFile);
    if (status === 0) return;
  }
}

function runPython(script: string, ...args: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(python ?? '', ['-c', script, ...args], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout);
}

async function create(who: TestUser, options: object): Promise<string> {
  return String((await who.call('POST', '/createRoom', options))['room_id']);
}

async function send(
  who: TestUser,
  where: string,
  key: string,
  content: object,
  type = 'm.room.message',
): Promise<void> {
  const answer = await who.call('PUT', `/rooms/${encodeURIComponent(where)}/send/${type}/${key}`, content);
  ids[key] = String(answer['event_id']);
}

async function all<T>(lines: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const line of lines) list.push(line);
  return list;
}

async function filesIn(at: string): Promise<string[]> {
  const entries = await readdir(at, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(at.length + 1))
    .sort();
}
