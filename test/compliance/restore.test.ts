/** `stele restore` and `stele drill`: what comes back, what must not, and what goes on differently. */
import { appendFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openNote, parseVerifier } from '#streams/transparency/note.ts';
import { type Person, ServerFolder } from './server-folder.test-support.ts';

let server: ServerFolder;
let ada: Person;
let room: string;

beforeEach(async () => {
  server = await ServerFolder.make();
  await server.start();
  ada = await server.register('ada');
  room = await server.makeRoom(ada);
  await server.say(ada, room, 'before');
});

afterEach(() => server.remove());

/** Serves what was restored to a folder from here on. */
async function serve(dataDir: string): Promise<void> {
  await server.stop();
  await server.configure(dataDir);
  await server.start();
}

const restore = (...args: string[]) =>
  server.steleJson('restore', server.path('copy'), '--to', server.path('restored'), ...args);

async function sync(who: Person, since?: string): Promise<Record<string, unknown>> {
  return server.ok('GET', since === undefined ? '/sync' : `/sync?since=${since}`, { token: who.token });
}

function roomsOf(
  answer: Record<string, unknown>,
): Record<string, { timeline: { events: { content: { body?: string } }[] } }> {
  return ((answer['rooms'] ?? {}) as { join?: object }).join as never;
}

const otk = (text: string) => ({
  key: Buffer.from(text).toString('base64').replace(/=+$/, ''),
  signatures: {},
});

const upload = (who: Person, ids: readonly string[]) =>
  server.ok('POST', '/keys/upload', {
    token: who.token,
    body: { one_time_keys: Object.fromEntries(ids.map((id) => [`signed_curve25519:${id}`, otk(id)])) },
  });

const claim = async (who: Person) => {
  const body = { one_time_keys: { [who.userId]: { [who.deviceId]: 'signed_curve25519' } } };
  const answer = await server.ok('POST', '/keys/claim', { token: who.token, body });
  const keys = answer['one_time_keys'] as Record<string, Record<string, Record<string, unknown>>>;
  return Object.keys(keys[who.userId]?.[who.deviceId] ?? {});
};

describe('stele restore', () => {
  test('brings back what was there, verified, under a key that the old one vouches for', async () => {
    await server.ok('POST', '/_matrix/media/v3/upload', { token: ada.token, bytes: Buffer.from('a picture') });
    const checkpoint = await server.published();
    const made = await server.steleJson('backup', server.path('copy'));
    const report = await restore();
    expect(report).toMatchObject({
      ok: true,
      records: made['records'],
      firstVerifiedCheckpoint: checkpoint,
      erasuresApplied: 0,
      mediaFiles: 1,
      missingMedia: [],
      warnings: [],
    });
    await serve('restored');
    expect(await server.texts(ada, room)).toEqual(['before']);
    await server.say(ada, room, 'after');
    expect(await server.texts(ada, room)).toEqual(['before', 'after']);
    await server.stop();
    expect(await server.stele('verify', '--events', '--checkpoint', await write('old', checkpoint))).toMatchObject({
      status: 0,
    });
    expect((await server.stele('replay', '--check')).status).toBe(0);
    const [oldKey, newKey] = [String(report['oldLogKey']), String(report['newLogKey'])];
    expect([parseVerifier(oldKey).name, parseVerifier(newKey).name]).toEqual([
      'example.org/stele-log',
      'example.org/stele-log/restored-1',
    ]);
    const [name = ''] = await readdir(server.path('restored', 'transparency', 'successions'));
    const note = await readFile(server.path('restored', 'transparency', 'successions', name), 'utf8');
    expect(openNote(note, parseVerifier(oldKey)).split('\n')).toContain(newKey);
  });

  test('as it was at a position or a time: whole commits, and what came later is gone', async () => {
    await server.published();
    const { records } = await server.steleJson('backup', server.path('copy'));
    const [, history] = [records, Date.now()];
    await server.say(ada, room, 'later');
    await server.say(ada, room, 'latest');
    await server.published();
    const second = await server.steleJson('backup', server.path('copy'));
    const report = await restore('--at', String(Number(records) - 1));
    expect(report).toMatchObject({ records, generation: second['id'], firstVerifiedCheckpoint: expect.any(String) });
    expect(Number(report['recordedAtMs'])).toBeLessThanOrEqual(history);
    await serve('restored');
    expect(await server.texts(ada, room)).toEqual(['before']);
    await server.say(ada, room, 'another');
    await server.stop();
    expect((await server.stele('verify')).status).toBe(0);

    const byTime = await server.steleJson(
      ...['restore', server.path('copy'), '--to', server.path('by-time')],
      ...['--at', new Date(Number(report['recordedAtMs'])).toISOString()],
    );
    expect(Number(byTime['records'])).toBeGreaterThanOrEqual(Number(records));
  });

  test('nothing is restored to a folder that has something in it, and what was broken off is done again', async () => {
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    await mkdir(server.path('restored'));
    await writeFile(server.path('restored', 'something'), '');
    const args = ['restore', server.path('copy'), '--to', server.path('restored')];
    expect(await server.stele(...args)).toMatchObject({ status: 1, err: expect.stringContaining('is not empty') });
    await rm(server.path('restored', 'something'));
    await mkdir(server.path('restored.restoring'));
    await writeFile(server.path('restored.restoring', 'mine'), '');
    expect(await server.stele(...args)).toMatchObject({ status: 1, err: expect.stringContaining('Move it away') });
    await writeFile(server.path('restored.restoring', 'this-restore-is-not-finished'), '');
    expect(await server.stele(...args)).toMatchObject({ status: 0 });
    expect(await readdir(server.path('restored'))).toContain('log');
    expect(await readdir(server.folder)).not.toContain('restored.restoring');
  });

  test.each([
    ['a changed segment', 'segments', (file: string) => appendFile(file, 'x')],
    ['a segment cut short', 'segments', (file: string) => truncate(file, 1000)],
    ['a missing segment', 'segments', (file: string) => rm(file)],
  ])('%s is found, and nothing is restored', async (_, folder, damage) => {
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    const [name = ''] = await readdir(server.path('copy', folder));
    await damage(path.join(server.path('copy', folder), name));
    const outcome = await server.stele('restore', server.path('copy'), '--to', server.path('restored'));
    expect(outcome).toMatchObject({ status: 1, err: expect.stringMatching(/damaged|missing/) });
    expect(await readdir(server.folder)).not.toContain('restored');
  });

  test('without its keyring nothing can be restored', async () => {
    await server.published();
    await server.steleJson('backup', server.path('copy'), '--keyring', server.path('keys'));
    const args = ['restore', server.path('copy'), '--to', server.path('restored')];
    expect(await server.stele(...args)).toMatchObject({ status: 1, err: expect.stringContaining('--keyring') });
    expect(await server.stele(...args, '--keyring', server.path('keys'))).toMatchObject({ status: 0 });
  });

  test('what was destroyed after the backup does not come back', async () => {
    await server.say(ada, room, 'my secret');
    await server.published();
    await server.steleJson('backup', server.path('copy'), '--keyring', server.path('keys'));
    await server.stop();
    const { openLog } = await import('#streams/open-log.ts');
    const log = await openLog({ folder: server.path('data', 'log') });
    let destroyed = 0;
    for await (const batch of log.readAll(-1)) {
      for (const { position, sections } of batch) {
        for (const [index, section] of sections.entries()) {
          if (section === null || !Buffer.from(section).includes('my secret')) continue;
          await log.destroyKey(position, index);
          destroyed += 1;
        }
      }
    }
    await log.close();
    expect(destroyed).toBeGreaterThan(0);
    const verified = await server.stele('verify');
    expect(verified).toMatchObject({
      status: 1,
      out: expect.stringContaining('destroyed without a decision on record'),
    });
    const report = await restore('--keyring', server.path('keys'));
    expect(report).toMatchObject({ erasuresApplied: destroyed });
    await serve('restored');
    expect(await server.texts(ada, room)).toEqual(['before', '(erased)']);
    await server.stop();
    expect((await server.stele('verify')).status).toBe(0);
    for (const entry of await readdir(server.path('restored'), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = await readFile(path.join(entry.parentPath, entry.name));
      expect(bytes.includes('my secret'), entry.name).toBe(false);
    }
  });

  test('a user who was erased after the backup does not come back, nor their files, in any byte', async () => {
    const eve = await server.register('eve');
    const own = await server.makeRoom(eve);
    await server.say(eve, own, 'a confession of eve');
    const picture = Buffer.from('a picture of eve');
    await server.ok('POST', '/_matrix/media/v3/upload', { token: eve.token, bytes: picture });
    await server.published();
    await server.steleJson('backup', server.path('copy'), '--keyring', server.path('keys'));
    const erased = await server.stele('erase', eve.userId, '--reason', 'she asked', '--case', 'GDPR-1');
    expect(erased.status, erased.err).toBe(0);
    await server.stop();
    const report = await restore('--keyring', server.path('keys'));
    expect(Number(report['erasuresApplied'])).toBeGreaterThan(0);
    await serve('restored');
    expect((await server.call('GET', '/account/whoami', { token: eve.token })).status).toBe(401);
    await server.stop();
    for (const entry of await readdir(server.path('restored'), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = await readFile(path.join(entry.parentPath, entry.name));
      for (const text of ['confession of eve', 'picture of eve']) expect(bytes.includes(text), entry.name).toBe(false);
    }
  });

  test('one-time keys are never given out twice: they are void, and counts say that new ones are needed', async () => {
    await upload(ada, ['AAAA', 'BBBB']);
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    expect(await claim(ada)).toEqual(['signed_curve25519:AAAA']);
    await restore();
    await serve('restored');
    expect((await sync(ada))['device_one_time_keys_count']).toMatchObject({ signed_curve25519: 0 });
    // The same keys once more are not given out either.
    await upload(ada, ['AAAA', 'BBBB']);
    expect(await claim(ada)).toEqual([]);
    await upload(ada, ['CCCC']);
    expect(await claim(ada)).toEqual(['signed_curve25519:CCCC']);
  });

  test('a token of a part that is gone is answered with all that is, a token of what stayed as always', async () => {
    const kept = String((await sync(ada))['next_batch']);
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    for (let number = 0; number < 10; number++) await server.say(ada, room, `lost ${number}`);
    const lost = String((await sync(ada))['next_batch']);
    await restore();
    await serve('restored');
    // The positions that the lost token has seen are given out again.
    for (let number = 0; number < 20; number++) await server.say(ada, room, `new ${number}`);
    const after = roomsOf(await sync(ada, lost))[room];
    expect(after?.timeline.events.map(({ content }) => content.body)).toContain('new 19');
    const whole = (await sync(ada, lost)) as {
      rooms: { join: Record<string, { state: { events: { type: string }[] } }> };
    };
    expect(whole.rooms.join[room]?.state.events.map(({ type }) => type)).toContain('m.room.create');
    const usual = roomsOf(await sync(ada, kept))[room];
    const told = usual?.timeline.events.map(({ content }) => content.body);
    expect([told?.at(-1), told?.includes('before')]).toEqual(['new 19', false]);
    const next = String((await sync(ada, lost))['next_batch']);
    expect(roomsOf(await sync(ada, next))?.[room]).toBeUndefined();
  });

  test('a token for paging of a place that is gone leads to where the room went on', async () => {
    const page = async (rest: string): Promise<{ bodies: unknown[]; end: string }> => {
      const answer = await server.ok(
        'GET',
        `/rooms/${encodeURIComponent(room)}/messages?${rest.includes('limit') ? rest : `${rest}&limit=50`}`,
        {
          token: ada.token,
        },
      );
      const chunk = answer['chunk'] as { content: { body?: string } }[];
      return { bodies: chunk.map(({ content }) => content.body), end: String(answer['end']) };
    };
    const kept = (await page('dir=b&limit=1')).end;
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    for (let number = 0; number < 10; number++) await server.say(ada, room, `lost ${number}`);
    const lost = (await page('dir=b&limit=1')).end;
    const seen = String((await sync(ada))['next_batch']);
    await restore();
    await serve('restored');
    for (let number = 0; number < 20; number++) await server.say(ada, room, `new ${number}`);
    for (const token of [lost, seen]) {
      const { bodies } = await page(`dir=f&from=${token}`);
      expect([bodies[0], bodies.at(-1)], token).toEqual(['new 0', 'new 19']);
      expect((await page(`dir=b&from=${token}`)).bodies[0], token).toBe('before');
    }
    expect((await page(`dir=f&from=${kept}`)).bodies[0]).toBe('before');
    const now = (await page('dir=b&limit=3')).end;
    expect(now).toMatch(/g1$/);
    expect((await page(`dir=f&from=${now}`)).bodies).toEqual(['new 17', 'new 18', 'new 19']);
  });

  test('messages to devices that came after a restore are not taken for ones that were seen before it', async () => {
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    for (let number = 0; number < 10; number++) await server.say(ada, room, `lost ${number}`);
    const lost = String((await sync(ada))['next_batch']);
    await restore();
    await serve('restored');
    const body = { messages: { [ada.userId]: { [ada.deviceId]: { hello: 1 } } } };
    await server.ok('PUT', '/sendToDevice/org.example.greeting/1', { token: ada.token, body });
    for (let number = 0; number < 20; number++) await server.say(ada, room, `new ${number}`);
    const answer = (await sync(ada, lost)) as { to_device?: { events: unknown[] } };
    expect(answer.to_device?.events).toHaveLength(1);
  });

  test('a device that logged in after the backup may keep its keys and log in again', async () => {
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    const bob = await server.register('bob');
    await restore();
    await serve('restored');
    expect(await server.call('GET', '/account/whoami', { token: bob.token })).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true },
    });
  });

  test('a restored server is backed up into the same folder, and restored from there again', async () => {
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    await restore();
    await serve('restored');
    await server.say(ada, room, 'second life');
    await server.stop();
    await server.start();
    expect(await server.steleJson('backup', server.path('copy'))).toMatchObject({ ok: true, warnings: [] });
    const report = await server.steleJson('restore', server.path('copy'), '--to', server.path('again'));
    expect(report['newLogKey']).toMatch(/^example\.org\/stele-log\/restored-2\+/);
    await serve('again');
    expect(await server.texts(ada, room)).toEqual(['before', 'second life']);
  });
});

describe('stele drill', () => {
  test('restores aside, names the first verified checkpoint and puts the result on record', async () => {
    const checkpoint = await server.published();
    await server.steleJson('backup', server.path('copy'));
    const result = await server.steleJson('drill', server.path('copy'), '--temporary', server.folder);
    expect(result).toMatchObject({ ok: true, passed: true, findings: [], firstVerifiedCheckpoint: checkpoint });
    expect((await readdir(server.folder)).filter((name) => name.startsWith('stele-drill-'))).toEqual([]);
    const { openLogReadOnly } = await import('#streams/open-log.ts');
    const log = await openLogReadOnly({ folder: server.path('data', 'log') });
    const kinds: string[] = [];
    for await (const { kind } of log.readStream('server-backups')) kinds.push(kind);
    await log.close();
    expect(kinds).toEqual(['backup.made', 'backup.drilled']);
    const entries = (await server.stele('audit', '--json')).out.split('\n').map((line) => JSON.parse(line));
    const ours = entries.filter(({ action }) => String(action).startsWith('backup.'));
    expect(ours.map(({ action, actor }) => [action, actor.name]).sort()).toEqual([
      ['backup.drill', userInfo().username],
      ['backup.make', userInfo().username],
    ]);
  });

  test('of a damaged backup fails, and that is on record too', async () => {
    await server.published();
    await server.steleJson('backup', server.path('copy'));
    const [name = ''] = await readdir(server.path('copy', 'segments'));
    await appendFile(server.path('copy', 'segments', name), 'x');
    const { status, out } = await server.stele('drill', server.path('copy'), '--json');
    expect(status).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ ok: false, findings: [expect.stringContaining('damaged')] });
  });
});

async function write(name: string, text: string): Promise<string> {
  await writeFile(server.path(name), text);
  return server.path(name);
}
