/**
 * The administration API through synadm, a command line for Synapse that knows nothing of this server. It is run from the PATH, or from
 * where the variable SYNADM says.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const run = promisify(execFile);
const SYNADM = process.env['SYNADM'] ?? 'synadm';
const isAble = await run(SYNADM, ['--version']).then(
  () => true,
  () => false,
);
if (!isAble) console.warn('SKIPPED: the administration API is not tried with synadm: it is not installed');
/** Each command starts Python, which takes its time on a busy machine. */
const TIMEOUT_MS = 180_000;

describe.skipIf(!isAble)('synadm', { timeout: TIMEOUT_MS }, () => {
  let app: TestApplication;
  let admin: TestClient;
  let bob: TestClient;
  let folder: string;
  let room: string;

  beforeAll(async () => {
    app = await startApplication({ server_notices: { localpart: 'notices' } });
    [admin, bob] = [await app.register('admin'), await app.register('bob')];
    await app.context.accounts.setAdmin(admin.userId, true);
    await app.http.listen({ port: 0, host: '127.0.0.1' });
    const { port } = app.http.server.address() as AddressInfo;
    folder = await mkdtemp(path.join(tmpdir(), 'stele-synadm-'));
    const scoped = await admin.ok('POST', '/_stele/admin/tokens', {
      role: 'admin',
      reason: 'spam in March',
      case_id: 'C-17',
      expires_in_ms: 3_600_000,
    });
    const config = {
      user: 'admin',
      protocol: 'http',
      base_url: `http://127.0.0.1:${port}`,
      admin_path: '/_synapse/admin',
      matrix_path: '/_matrix',
      timeout: 60,
      server_discovery: 'well-known',
      homeserver: 'localhost',
      ssl_verify: false,
      format: 'json',
    };
    // JSON is YAML.
    for (const [name, token] of [
      ['plain', admin.accessToken],
      ['case', scoped['token']],
    ]) {
      await writeFile(path.join(folder, `${String(name)}.yaml`), JSON.stringify({ ...config, token }));
    }
    room = String(
      (await bob.ok('POST', '/createRoom', { preset: 'public_chat', name: 'Quarry', room_alias_name: 'quarry' }))[
        'room_id'
      ],
    );
  }, TIMEOUT_MS);
  afterAll(async () => {
    await app.close();
    await rm(folder, { recursive: true });
  });

  /** Runs a command without questions, with an administrator's own token or one that carries a case, and gives what it writes. */
  async function told(token: 'plain' | 'case', args: readonly string[]): Promise<string> {
    const all = ['--batch', '--config-file', path.join(folder, `${token}.yaml`), '--output', 'json', ...args];
    const { stdout } = await run(SYNADM, all, { env: { ...process.env, NO_PROXY: '127.0.0.1' } });
    return stdout;
  }
  const text = (...args: string[]) => told('plain', args);
  const json = async (...args: string[]) => JSON.parse(await text(...args));

  async function upload(content: string): Promise<string> {
    const answer = await app.http.inject({
      method: 'POST',
      url: '/_matrix/media/v3/upload',
      headers: { authorization: `Bearer ${bob.accessToken}`, 'content-type': 'text/plain' },
      payload: content,
    });
    const uri = String(answer.json().content_uri);
    await bob.ok('PUT', `/rooms/${room}/send/m.room.message/${encodeURIComponent(uri)}`, {
      msgtype: 'm.file',
      body: 'file',
      url: uri,
    });
    return uri.split('/').at(-1) ?? '';
  }
  const download = async (mediaId: string) =>
    (await bob.call('GET', `/_matrix/client/v1/media/download/localhost/${mediaId}`)).status;

  it('finds the server', async () => {
    expect(await json('version')).toMatchObject({ server_version: expect.stringContaining('Stele') });
  });

  it('lists, makes, changes, restricts and closes accounts', async () => {
    expect(await json('user', 'list')).toMatchObject({ total: expect.any(Number), users: expect.any(Array) });
    await text('user', 'modify', '@carol:localhost', '-P', 'correct horse battery', '-n', 'Carol');
    expect(await text('user', 'search', 'caro')).toContain('@carol:localhost');
    expect(await json('user', 'details', '@carol:localhost')).toMatchObject({ deactivated: false });
    await text('user', 'modify', '@carol:localhost', '-n', 'Caroline');
    expect(await json('user', 'details', '@carol:localhost')).toMatchObject({ displayname: 'Caroline' });
    await text('user', 'shadow-ban', '@carol:localhost');
    expect(await json('user', 'details', '@carol:localhost')).toMatchObject({ shadow_banned: true });
    await text('user', 'shadow-ban', '--unban', '@carol:localhost');
    await text('user', 'suspend', '@carol:localhost');
    expect(await json('user', 'details', '@carol:localhost')).toMatchObject({ shadow_banned: false, suspended: true });
    expect(await json('user', 'login', '@carol:localhost')).toMatchObject({ errcode: 'M_FORBIDDEN' });
    const lent = await told('case', ['user', 'login', '@carol:localhost']);
    expect(JSON.parse(lent)).toMatchObject({ access_token: expect.any(String) });
    await text('user', 'password', '-p', 'staple staple staple', '@carol:localhost');
    expect(await json('user', 'membership', '--ids', bob.userId)).toMatchObject({ joined_rooms: [room] });
    expect(await json('user', 'whois', bob.userId)).toMatchObject({ user_id: bob.userId });
    expect(await text('user', 'prune-devices', '--list-only', '-d', '30', bob.userId)).not.toContain('errcode');
    expect(await json('user', '3pid', '-m', 'email', 'bob@example.org')).toMatchObject({ errcode: 'M_NOT_FOUND' });
    await text('user', 'deactivate', '@carol:localhost');
    expect(await json('user', 'details', '@carol:localhost')).toMatchObject({ deactivated: true });
  });

  it('lists, blocks and removes rooms, and has people join them', async () => {
    expect((await json('room', 'list')).rooms).toContainEqual(
      expect.objectContaining({ room_id: room, name: 'Quarry' }),
    );
    expect((await json('room', 'search', 'quar')).rooms).toMatchObject([{ room_id: room }]);
    expect(await json('room', 'details', room)).toMatchObject({ canonical_alias: '#quarry:localhost' });
    expect(await json('room', 'members', room)).toMatchObject({ members: [bob.userId] });
    expect((await json('room', 'state', room)).state).toContainEqual(
      expect.objectContaining({ type: 'm.room.create' }),
    );
    await text('room', 'join', room, admin.userId);
    await text('room', 'make-admin', '-u', admin.userId, room);
    expect(await text('room', 'power-levels', '-i', room)).toContain(admin.userId);
    expect(await json('room', 'resolve', '#quarry:localhost')).toBe(room);
    const doomed = String((await bob.ok('POST', '/createRoom', { name: 'Doomed' }))['room_id']);
    await text('room', 'block', '--block', doomed);
    expect(await json('room', 'block-status', doomed)).toMatchObject({ block: true });
    await text('room', 'delete', doomed);
    await app.context.tasks.settled();
    expect((await json('room', 'delete-status', '-r', doomed)).results).toMatchObject([{ status: 'complete' }]);
  });

  it('lists, hides, protects and removes media', async () => {
    const [hidden, safe] = [await upload('to be hidden'), await upload('to be kept')];
    expect((await json('media', 'list', '-r', room)).local).toEqual(
      [hidden, safe].map((mediaId) => `mxc://localhost/${mediaId}`),
    );
    expect((await json('media', 'list', '-u', bob.userId)).media).toHaveLength(2);
    expect((await json('user', 'media', bob.userId)).total).toBe(2);
    await text('media', 'protect', safe);
    expect(await json('media', 'quarantine', '-u', bob.userId)).toEqual({ num_quarantined: 1 });
    expect([await download(hidden), await download(safe)]).toEqual([404, 200]);
    await text('media', 'unquarantine', '-s', 'localhost', '-i', hidden);
    expect(await download(hidden)).toBe(200);
    await text('media', 'quarantine', '-s', 'localhost', '-i', hidden);
    expect(await download(hidden)).toBe(404);
    expect(await json('media', 'purge', '-d', '1')).toEqual({ deleted: 0 });
    expect(await json('media', 'delete', '-i', hidden)).toMatchObject({ total: 1 });
    expect((await json('user', 'media', bob.userId)).total).toBe(1);
  });

  it('redacts and purges what people said', async () => {
    for (const body of ['one', 'two', 'three']) {
      await bob.ok('PUT', `/rooms/${room}/send/m.room.message/${body}`, { msgtype: 'm.text', body });
    }
    const { redact_id: id } = await json('user', 'redact', '-r', room, '-l', '1', bob.userId);
    await app.context.tasks.settled();
    expect(await json('user', 'redact-status', id)).toMatchObject({ status: 'complete' });
    const { chunk } = await bob.ok('GET', `/rooms/${room}/messages?dir=b&limit=1`);
    const [last] = chunk as unknown as { event_id: string }[];
    const { purge_id: purge } = await json('history', 'purge', '-i', last?.event_id ?? '', '--delete-local', room);
    await app.context.tasks.settled();
    expect(await json('history', 'purge-status', purge)).toMatchObject({ status: 'complete' });
  });

  it('makes, changes and removes registration tokens, and sends notices', async () => {
    expect(await json('regtok', 'new', '-n', 'spring', '-u', '3')).toMatchObject({ token: 'spring', uses_allowed: 3 });
    expect((await json('regtok', 'list')).registration_tokens).toMatchObject([{ token: 'spring' }]);
    expect(await json('regtok', 'update', 'spring', '-u', '5')).toMatchObject({ uses_allowed: 5 });
    expect(await json('regtok', 'details', 'spring')).toMatchObject({ uses_allowed: 5, completed: 0 });
    await text('regtok', 'delete', 'spring');
    expect((await json('regtok', 'list')).registration_tokens).toEqual([]);
    await text('notice', 'send', bob.userId, 'The server rests tonight');
    const sync = await bob.ok('GET', '/sync');
    expect(Object.keys((sync as unknown as { rooms: { invite?: object } }).rooms.invite ?? {})).toHaveLength(1);
  });
});
