/** Uploads that come after their URI, quotas, and the files that nothing refers to. */
import { createHash, randomBytes } from 'node:crypto';
import { access, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { BY_SERVER } from '#projections/media/records.ts';
import { silentLog } from '#src/log/logger.ts';
import { MAX_RESERVED_OF_USER, RESERVATION_LIFETIME_MS } from '#src/media/media-store.ts';
import { MediaSweep, SERVER_MEDIA_LIFETIME_MS } from '#src/media/sweep.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

let app: TestApplication;
let alice: TestClient;

async function start(settings: object = {}): Promise<void> {
  app = await startApplication(settings);
  alice = await app.register('alice');
}
afterEach(() => app.close());

const create = async (who = alice) => {
  const { content_uri: uri, unused_expires_at } = await who.ok('POST', '/_matrix/media/v1/create');
  expect(uri).toMatch(/^mxc:\/\/localhost\/[A-Za-z0-9_-]{22}$/);
  return { id: String(uri).slice('mxc://'.length), expiresAtMs: Number(unused_expires_at) };
};
const raw = async (who: TestClient, method: 'PUT' | 'POST', url: string, content: Buffer) => {
  const answer = await app.http.inject({
    method,
    url,
    headers: { authorization: `Bearer ${who.accessToken}`, 'content-type': 'image/png' },
    payload: content,
  });
  return { status: answer.statusCode, body: answer.json() };
};
const put = (id: string, content: Buffer, who = alice) =>
  raw(who, 'PUT', `/_matrix/media/v3/upload/${id}?filename=late.png`, content);
const upload = (content: Buffer, who = alice) => raw(who, 'POST', '/_matrix/media/v3/upload', content);
const download = (id: string, query = '') =>
  app.http.inject({
    url: `/_matrix/client/v1/media/download/${id}${query}`,
    headers: { authorization: `Bearer ${alice.accessToken}` },
  });

describe('a URI that is given out before the upload', () => {
  it('is good for a day, and stands for what is uploaded to it', async () => {
    await start();
    const { id, expiresAtMs } = await create();
    expect(Math.abs(expiresAtMs - app.now() - RESERVATION_LIFETIME_MS)).toBeLessThan(1_000);
    const notYet = await download(id, '?timeout_ms=0');
    expect([notYet.statusCode, notYet.json().errcode]).toEqual([504, 'M_NOT_YET_UPLOADED']);
    expect(await put(id, Buffer.from('late'))).toEqual({ status: 200, body: {} });
    const answer = await download(id);
    expect([answer.statusCode, answer.payload]).toEqual([200, 'late']);
    expect(answer.headers['content-disposition']).toBe('inline; filename="late.png"');
  });

  it('lets a download wait for the upload', async () => {
    await start();
    const { id } = await create();
    const waiting = download(id, '?timeout_ms=60000');
    await put(id, Buffer.from('here it is'));
    expect((await waiting).payload).toBe('here it is');
  });

  it('ends the wait when the server stops', async () => {
    await start();
    const { id } = await create();
    const waiting = download(id, '?timeout_ms=60000');
    app.beginClosing();
    expect((await waiting).json().errcode).toBe('M_NOT_YET_UPLOADED');
  });

  it('is filled once, by whom it was given to, before it expires', async () => {
    await start();
    const bob = await app.register('bob');
    const { id } = await create();
    expect(await put(id, Buffer.from('x'), bob)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
    const both = await Promise.all([put(id, Buffer.from('a')), put(id, Buffer.from('b'))]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(await put(id, Buffer.from('c'))).toMatchObject({
      status: 409,
      body: { errcode: 'M_CANNOT_OVERWRITE_MEDIA' },
    });
    const late = await create();
    app.advance(RESERVATION_LIFETIME_MS);
    expect(await put(late.id, Buffer.from('x'))).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    expect((await download(late.id)).statusCode).toBe(404);
    for (const unknown of ['localhost/never-given-out', 'elsewhere.example/abc']) {
      expect(await put(unknown, Buffer.from('x'))).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } });
    }
  });

  it('is one of a bounded number, of which the expired do not count', async () => {
    await start();
    const given = await Promise.all(Array.from({ length: MAX_RESERVED_OF_USER }, () => create()));
    const refused = await alice.call('POST', '/_matrix/media/v1/create');
    expect(errorOf(refused)).toBe('429 M_LIMIT_EXCEEDED');
    await put(given[0]?.id ?? '', Buffer.from('one less'));
    await create();
    app.advance(RESERVATION_LIFETIME_MS);
    await create();
  });
});

describe('a quota', () => {
  it('bounds what one user uploads in all, also at the same time', async () => {
    await start({ media: { user_quota: '1KiB' } });
    expect((await upload(randomBytes(500))).status).toBe(200);
    const three = await Promise.all([upload(randomBytes(500)), upload(randomBytes(500)), upload(randomBytes(500))]);
    expect(three.map(({ status }) => status).sort()).toEqual([200, 403, 403]);
    expect((await upload(randomBytes(25))).body).toMatchObject({ errcode: 'M_FORBIDDEN' });
    expect((await upload(randomBytes(24))).status).toBe(200);
    const bob = await app.register('bob');
    expect((await upload(randomBytes(500), bob)).status).toBe(200);
  });

  it('leads to the page about it, if there is one', async () => {
    await start({ media: { user_quota: '1KiB' }, support: { page: 'https://example.org/help' } });
    expect(await upload(randomBytes(2000))).toMatchObject({
      status: 403,
      body: { errcode: 'M_USER_LIMIT_EXCEEDED', info_uri: 'https://example.org/help', can_upgrade: false },
    });
  });
});

describe('a sweep', () => {
  const fileOf = (content: Buffer) => {
    const sha256 = createHash('sha256').update(content).digest('hex');
    return path.join(app.context.config.data_dir, 'media', sha256.slice(0, 2), sha256.slice(2));
  };
  const age = (file: string) => utimes(file, 0, 0);
  const sweep = async () => {
    const { media, thumbnails, reader } = app.context;
    using sweeper = new MediaSweep({ media, thumbnails, reader, logger: silentLog() });
    return await sweeper.sweep();
  };

  it('takes away what nothing refers to, and nothing else', async () => {
    await start();
    const kept = randomBytes(100);
    const removed = randomBytes(100);
    const shared = randomBytes(100);
    const fresh = randomBytes(100);
    await upload(kept);
    await upload(fresh);
    const ids: string[] = [];
    for (const content of [removed, shared, shared]) {
      ids.push(String((await upload(content)).body.content_uri).slice('mxc://localhost/'.length));
    }
    const orphan = path.join(path.dirname(fileOf(kept)), 'f'.repeat(62));
    await writeFile(orphan, 'left by a crash');
    for (const file of [fileOf(kept), fileOf(removed), fileOf(shared), orphan]) await age(file);
    await app.context.media.remove(ids[0] ?? '');
    await app.context.media.remove(ids[1] ?? '');
    // The file of what was removed goes with it; what is left is the orphan.
    await expect(access(fileOf(removed))).rejects.toThrow();
    expect(await sweep()).toBe(1);
    expect(await sweep()).toBe(0);
    expect((await download(`localhost/${ids[0]}`)).statusCode).toBe(404);
    expect((await download(`localhost/${ids[2]}`)).rawPayload.equals(shared)).toBe(true);
  });

  it('takes away what the server stored by itself, after a week', async () => {
    await start();
    const { media, reader } = app.context;
    const store = () =>
      media.uploadBytes(randomBytes(10), {
        uploader: BY_SERVER,
        contentType: 'image/png',
        fileName: undefined,
        announcedBytes: 10,
      });
    const old = await store();
    app.advance(SERVER_MEDIA_LIFETIME_MS);
    const recent = await store();
    const { thumbnails } = app.context;
    using sweeper = new MediaSweep({ media, thumbnails, reader, logger: silentLog(), clock: app.now });
    await sweeper.sweep();
    expect([media.find(old.mediaId), media.find(recent.mediaId)?.mediaId]).toEqual([undefined, recent.mediaId]);
  });

  it('leaves alone what is stored again at the same moment', async () => {
    await start();
    const content = randomBytes(100);
    const id = String((await upload(content)).body.content_uri)
      .split('/')
      .at(-1);
    await age(fileOf(content));
    await app.context.media.remove(id ?? '');
    const [again] = await Promise.all([upload(content), sweep(), sweep()]);
    expect((await download(String(again.body.content_uri).slice('mxc://'.length))).rawPayload.equals(content)).toBe(
      true,
    );
  });
});
