/** Media through Synapse's administration API: what is listed, hidden, protected and removed, and what stays. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { auditPage } from '#projections/audit/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const ADMIN = '/_synapse/admin/v1';
const ELSEWHERE = 'far.example.org';

let app: TestApplication;
let admin: TestClient;
let bob: TestClient;
let room: string;
/** What the other server has, by media id. */
const elsewhere = new Map<string, string>();
let fetches = 0;

beforeAll(async () => {
  app = await startApplication();
  [admin, bob] = [await app.register('admin'), await app.register('bob')];
  await app.context.accounts.setAdmin(admin.userId, true);
  app.context.remoteMedia.fetchFrom({
    fetch: async (_server, mediaId) => {
      fetches += 1;
      const content = elsewhere.get(mediaId) ?? '';
      return { body: Readable.from([Buffer.from(content)]), contentType: 'text/plain', fileName: undefined };
    },
  });
});
afterAll(() => app.close());

beforeEach(async () => {
  room = String((await bob.ok('POST', '/createRoom', {}))['room_id']);
});

async function upload(content: string, by = bob): Promise<string> {
  const answer = await app.http.inject({
    method: 'POST',
    url: '/_matrix/media/v3/upload?filename=note.txt',
    headers: { authorization: `Bearer ${by.accessToken}`, 'content-type': 'text/plain' },
    payload: content,
  });
  return String(answer.json().content_uri).split('/').at(-1) ?? '';
}

async function send(uri: string, more: object = {}): Promise<void> {
  const content = { msgtype: 'm.file', body: 'file', url: uri, ...more };
  await bob.ok('PUT', `/rooms/${room}/send/m.room.message/${encodeURIComponent(uri)}`, content);
}

const download = async (mediaId: string, server = 'localhost') =>
  (await bob.call('GET', `/_matrix/client/v1/media/download/${server}/${mediaId}`)).status;
const thumbnail = async (mediaId: string, server = 'localhost') =>
  (await bob.call('GET', `/_matrix/client/v1/media/thumbnail/${server}/${mediaId}?width=32&height=32`)).body;

describe('lists', () => {
  it('name the media of a room by whose they are, and those of thumbnails and pictures', async () => {
    const mine = await upload('of a room');
    await send(`mxc://localhost/${mine}`, { info: { thumbnail_url: `mxc://${ELSEWHERE}/small` } });
    await send(`mxc://${ELSEWHERE}/large`, { info: 'no object' });
    await send('https://example.org/no/media');
    expect(await admin.ok('GET', `${ADMIN}/room/${room}/media`)).toEqual({
      local: [`mxc://localhost/${mine}`],
      remote: [`mxc://${ELSEWHERE}/small`, `mxc://${ELSEWHERE}/large`],
    });
    expect((await admin.call('GET', `${ADMIN}/room/!nowhere:localhost/media`)).status).toBe(404);
    expect((await bob.call('GET', `${ADMIN}/room/${room}/media`)).status).toBe(403);
  });

  it('page what a user uploaded, the newest first or as it is asked', async () => {
    const carol = await app.register('carol');
    const ids = [await upload('one', carol), await upload('three', carol), await upload('seventeen', carol)];
    const path = `${ADMIN}/users/${carol.userId}/media`;
    const listed = async (query: string) => {
      const { media, ...rest } = await admin.ok('GET', `${path}${query}`);
      return { ids: (media as unknown as { media_id: string }[]).map((one) => one.media_id), ...rest };
    };
    expect(await listed('')).toEqual({ ids: ids.toReversed(), total: 3 });
    expect(await listed('?limit=2&order_by=media_length')).toEqual({ ids: ids.slice(0, 2), total: 3, next_token: 2 });
    expect(await listed('?from=2&order_by=media_length')).toEqual({ ids: ids.slice(2), total: 3 });
    const { media } = await admin.ok('GET', `${path}?limit=1`);
    expect(media).toEqual([
      {
        media_id: ids[2],
        created_ts: expect.any(Number),
        last_access_ts: null,
        media_length: 9,
        media_type: 'text/plain',
        upload_name: 'note.txt',
        quarantined_by: null,
        safe_from_quarantine: false,
      },
    ]);
    expect((await admin.call('GET', `${ADMIN}/users/@nobody:localhost/media`)).status).toBe(404);
    expect(await admin.ok('DELETE', `${path}?limit=1`)).toEqual({ deleted_media: [ids[2]], total: 1 });
    expect(await listed('')).toEqual({ ids: [ids[1], ids[0]], total: 2 });
    const audited = auditPage(app.engine.reader, { action: 'media.delete', target: carol.userId }, { limit: 1 });
    expect(audited.entries[0]).toMatchObject({ before: { media: [ids[2]] } });
  });

  it('tell of one media what is known, of this server or kept of another', async () => {
    const mine = await upload('one media');
    expect(await admin.ok('GET', `${ADMIN}/media/localhost/${mine}`)).toMatchObject({
      media_info: {
        media_origin: 'localhost',
        user_id: bob.userId,
        media_id: mine,
        media_length: 9,
        sha256: createHash('sha256').update('one media').digest('hex'),
        quarantined_by: null,
      },
    });
    elsewhere.set('kept', 'from far away');
    expect((await admin.call('GET', `${ADMIN}/media/${ELSEWHERE}/kept`)).status).toBe(404);
    expect(await download('kept', ELSEWHERE)).toBe(200);
    expect(await admin.ok('GET', `${ADMIN}/media/${ELSEWHERE}/kept`)).toMatchObject({
      media_info: { media_origin: ELSEWHERE, user_id: null, media_length: 13, safe_from_quarantine: null },
    });
    expect((await admin.call('GET', `${ADMIN}/media/localhost/..`)).status).toBe(404);
  });
});

describe('quarantine', () => {
  it('hides an upload, every copy of it, and what comes later, until it is lifted', async () => {
    const [first, copy] = [await upload('nasty'), await upload('nasty', admin)];
    await admin.ok('POST', `${ADMIN}/media/quarantine/localhost/${first}`, {});
    expect([await download(first), await download(copy), await download(await upload('nasty'))]).toEqual([
      404, 404, 404,
    ]);
    expect(await thumbnail(first)).toMatchObject({ errcode: 'M_NOT_FOUND' });
    elsewhere.set('nasty', 'nasty');
    expect(await download('nasty', ELSEWHERE)).toBe(404);
    expect(await admin.ok('GET', `${ADMIN}/media/localhost/${copy}`)).toMatchObject({
      media_info: { quarantined_by: admin.userId },
    });
    await admin.ok('POST', `${ADMIN}/media/unquarantine/localhost/${copy}`, {});
    expect([await download(first), await download(copy), await download('nasty', ELSEWHERE)]).toEqual([200, 200, 200]);
    const { changes } = await admin.ok('GET', `${ADMIN}/media/quarantine_changes`);
    expect(changes).toEqual([
      { origin: 'localhost', media_id: first, quarantined: true },
      { origin: 'localhost', media_id: copy, quarantined: false },
    ]);
  });

  it('hides media of other servers, whether or not they are here, and does not fetch them again', async () => {
    elsewhere.set('never', 'never seen');
    const before = fetches;
    await admin.ok('POST', `${ADMIN}/media/quarantine/${ELSEWHERE}/never`, {});
    expect([await download('never', ELSEWHERE), fetches]).toEqual([404, before]);
    elsewhere.set('seen', 'was seen');
    expect(await download('seen', ELSEWHERE)).toBe(200);
    await admin.ok('POST', `${ADMIN}/media/quarantine/${ELSEWHERE}/seen`, {});
    expect(await download('seen', ELSEWHERE)).toBe(404);
    expect(await download(await upload('was seen'))).toBe(404);
    const fetched = fetches;
    await admin.ok('POST', `${ADMIN}/purge_media_cache?before_ts=${Date.now() + 60_000}`, {});
    expect([await download('seen', ELSEWHERE), fetches]).toEqual([404, fetched]);
  });

  it('takes all of a room, and all of a user, but what is protected', async () => {
    const dave = await app.register('dave');
    const [sticker, bad] = [await upload('sticker', dave), await upload('bad', dave)];
    await send(`mxc://localhost/${sticker}`);
    await send(`mxc://localhost/${bad}`);
    await send(`mxc://${ELSEWHERE}/bad`);
    await admin.ok('POST', `${ADMIN}/media/protect/${sticker}`, {});
    expect(await admin.ok('POST', `${ADMIN}/room/${room}/media/quarantine`, {})).toEqual({ num_quarantined: 2 });
    expect([await download(sticker), await download(bad)]).toEqual([200, 404]);
    expect(await admin.ok('POST', `${ADMIN}/user/${dave.userId}/media/quarantine`, {})).toEqual({ num_quarantined: 0 });
    await admin.ok('POST', `${ADMIN}/media/unprotect/${sticker}`, {});
    expect(await admin.ok('POST', `${ADMIN}/user/${dave.userId}/media/quarantine`, {})).toEqual({ num_quarantined: 1 });
    expect(await download(sticker)).toBe(404);
    expect((await admin.call('POST', `${ADMIN}/media/protect/nothing`, {})).status).toBe(404);
    expect((await bob.call('POST', `${ADMIN}/media/quarantine/localhost/${bad}`, {})).status).toBe(403);
    expect(
      (await admin.call('POST', `${ADMIN}/media/quarantine/localhost/${encodeURIComponent('a/b')}`, {})).status,
    ).toBe(400);
  });

  it('stands when the tables are made anew', async () => {
    const bad = await upload('for ever');
    await admin.ok('POST', `${ADMIN}/media/quarantine/localhost/${bad}`, {});
    await app.engine.renew();
    expect(await download(bad)).toBe(404);
  });
});

describe('removal', () => {
  it('goes by time and size, and passes over pictures and what a hold keeps', async () => {
    const erin = await app.register('erin');
    const [picture, held, large] = [
      await upload('a picture of me', erin),
      await upload('a held document', erin),
      await upload('a large document', erin),
    ];
    const small = await upload('small', erin);
    const between = app.context.clock();
    const late = await upload('a late document', erin);
    await erin.ok('PUT', `/profile/${erin.userId}/avatar_url`, { avatar_url: `mxc://localhost/${picture}` });
    await app.context.compliance.holds.add({
      scope: { mediaId: held },
      caseId: 'C-1',
      reason: 'dispute',
      by: 'officer',
    });
    const answer = await admin.ok('POST', `${ADMIN}/media/delete?before_ts=${between}&size_gt=8`, {});
    expect(answer['deleted_media']).toContain(large);
    expect(answer['kept_media']).toEqual({ [held]: expect.stringContaining('hold') });
    for (const [id, status] of [
      [picture, 200],
      [held, 200],
      [large, 404],
      [small, 200],
      [late, 200],
    ] as const) {
      expect([id, await download(id)]).toEqual([id, status]);
    }
    const all = await admin.ok('POST', `${ADMIN}/media/localhost/delete?before_ts=${between}&keep_profiles=false`, {});
    expect(all['deleted_media']).toEqual(expect.arrayContaining([picture, small]));
    expect((await admin.call('POST', `${ADMIN}/media/delete`, {})).status).toBe(400);
    expect((await admin.call('POST', `${ADMIN}/media/${ELSEWHERE}/delete?before_ts=1`, {})).status).toBe(400);
  });

  it('empties the cache of what other servers have', async () => {
    elsewhere.set('old', 'old news');
    expect(await download('old', ELSEWHERE)).toBe(200);
    expect(await admin.ok('POST', `${ADMIN}/purge_media_cache?before_ts=1000`, {})).toEqual({ deleted: 0 });
    const { deleted } = await admin.ok('POST', `${ADMIN}/purge_media_cache?before_ts=${Date.now() + 60_000}`, {});
    expect(Number(deleted)).toBeGreaterThan(0);
    expect((await admin.call('GET', `${ADMIN}/media/${ELSEWHERE}/old`)).status).toBe(404);
    expect(await download('old', ELSEWHERE)).toBe(200);
  });
});
