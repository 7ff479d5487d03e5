/** Account data, tags and filters over HTTP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accountDataForFirstSync, accountDataForSync } from '#src/client-api/account-data/entries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
const ROOM = encodeURIComponent('!room:localhost');

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterAll(() => app.close());

const data = (user: TestClient, type: string) => `/user/${encodeURIComponent(user.userId)}/account_data/${type}`;
const roomData = (user: TestClient, type: string, room = ROOM) =>
  `/user/${encodeURIComponent(user.userId)}/rooms/${room}/account_data/${type}`;

describe('account data', () => {
  it('gives back what was set, globally and by room', async () => {
    await alice.ok('PUT', data(alice, 'org.example.a'), { a: [1, 'ü', null] });
    await alice.ok('PUT', roomData(alice, 'org.example.a'), { room: true });
    expect(await alice.ok('GET', data(alice, 'org.example.a'))).toEqual({ a: [1, 'ü', null] });
    expect(await alice.ok('GET', roomData(alice, 'org.example.a'))).toEqual({ room: true });
  });

  it('is not inherited by rooms, and not there before it is set', async () => {
    await alice.ok('PUT', data(alice, 'org.example.global'), {});
    expect(await alice.call('GET', roomData(alice, 'org.example.global'))).toMatchObject({
      status: 404,
      body: { errcode: 'M_NOT_FOUND' },
    });
    expect((await alice.call('GET', data(alice, 'org.example.none'))).status).toBe(404);
    expect((await alice.call('GET', data(alice, 'x'.repeat(3000)))).status).toBe(404);
  });

  it("is nobody else's business", async () => {
    for (const [method, body] of [
      ['GET', undefined],
      ['PUT', {}],
    ] as const) {
      expect(await bob.call(method, data(alice, 'org.example.a'), body)).toMatchObject({
        status: 403,
        body: { errcode: 'M_FORBIDDEN' },
      });
      expect((await bob.call(method, roomData(alice, 'org.example.a'), body)).status).toBe(403);
    }
  });

  it.each(['m.fully_read', 'm.push_rules'])('%s is for the server to set', async (type) => {
    for (const path of [data(alice, type), roomData(alice, type)]) {
      expect(await alice.call('PUT', path, {})).toMatchObject({ status: 405, body: { errcode: 'M_BAD_JSON' } });
    }
  });

  it.each([
    ['not JSON', '{', 'M_NOT_JSON'],
    ['no object', '[]', 'M_BAD_JSON'],
  ])('refuses what is %s', async (_what, body, errcode) => {
    expect(await alice.call('PUT', data(alice, 'org.example.a'), body)).toMatchObject({
      status: 400,
      body: { errcode },
    });
  });

  it('refuses what is no room id, too long a type and too much', async () => {
    expect(await alice.call('PUT', roomData(alice, 'a', 'notaroom'), {})).toMatchObject({
      status: 400,
      body: { errcode: 'M_INVALID_PARAM' },
    });
    expect((await alice.call('PUT', data(alice, 'x'.repeat(256)), {})).body).toMatchObject({
      errcode: 'M_INVALID_PARAM',
    });
    expect(await alice.call('PUT', data(alice, 'big'), { big: 'x'.repeat(800_000) })).toMatchObject({
      status: 413,
      body: { errcode: 'M_TOO_LARGE' },
    });
  });

  it('tells sync what changed, each entry once and as it is now', async () => {
    const carol = await app.register('carol');
    const { reader } = app.context;
    const before = reader.frontier;
    const first = [...accountDataForFirstSync(reader, carol.userId)];
    expect(first.map(({ type }) => type)).toEqual(['m.push_rules']);
    await carol.ok('PUT', data(carol, 'org.example.a'), { n: 1 });
    await carol.ok('PUT', roomData(carol, 'org.example.b'), { n: 2 });
    await carol.ok('PUT', data(carol, 'org.example.a'), { n: 3 });
    expect([...accountDataForSync(reader, carol.userId, before)]).toEqual([
      { roomId: '!room:localhost', type: 'org.example.b', contentJson: '{"n":2}' },
      { roomId: undefined, type: 'org.example.a', contentJson: '{"n":3}' },
    ]);
    expect([...accountDataForSync(reader, carol.userId, reader.frontier)]).toEqual([]);
    expect([...accountDataForFirstSync(reader, carol.userId)]).toHaveLength(3);
  });
});

describe('tags', () => {
  const tags = (user: TestClient, tag = '') =>
    `/user/${encodeURIComponent(user.userId)}/rooms/${ROOM}/tags${tag && `/${encodeURIComponent(tag)}`}`;

  it('are given, changed, listed and taken away', async () => {
    expect(await alice.ok('GET', tags(alice))).toEqual({ tags: {} });
    await alice.ok('PUT', tags(alice, 'm.favourite'), { order: 0.5, note: ['x'] });
    await alice.ok('PUT', tags(alice, 'u.Work'), {});
    await alice.ok('PUT', tags(alice, 'm.favourite'), { order: 0.1 });
    expect(await alice.ok('GET', tags(alice))).toEqual({ tags: { 'm.favourite': { order: 0.1 }, 'u.Work': {} } });
    expect(await alice.ok('GET', roomData(alice, 'm.tag'))).toEqual({
      tags: { 'm.favourite': { order: 0.1 }, 'u.Work': {} },
    });
    await alice.ok('DELETE', tags(alice, 'u.Work'));
    await alice.ok('DELETE', tags(alice, 'u.Work'));
    expect(await alice.ok('GET', tags(alice))).toEqual({ tags: { 'm.favourite': { order: 0.1 } } });
  });

  it('two at the same time are both there', async () => {
    await Promise.all(['u.a', 'u.b', 'u.c'].map((tag) => bob.ok('PUT', tags(bob, tag), {})));
    expect(await bob.ok('GET', tags(bob))).toEqual({ tags: { 'u.a': {}, 'u.b': {}, 'u.c': {} } });
  });

  it('refuses a wrong order, too long a name, and strangers', async () => {
    expect((await alice.call('PUT', tags(alice, 'u.x'), { order: 'first' })).body).toMatchObject({
      errcode: 'M_BAD_JSON',
    });
    expect((await alice.call('PUT', tags(alice, 'x'.repeat(256)), {})).body).toMatchObject({
      errcode: 'M_INVALID_PARAM',
    });
    expect((await bob.call('GET', tags(alice))).status).toBe(403);
  });

  it('survives account data of another shape', async () => {
    await alice.ok('PUT', roomData(alice, 'm.tag'), { tags: 'nonsense' });
    expect(await alice.ok('GET', tags(alice))).toEqual({ tags: {} });
  });
});

describe('filters', () => {
  const filters = (user: TestClient, id = '') => `/user/${encodeURIComponent(user.userId)}/filter${id && `/${id}`}`;

  it('are stored as they are, and the same one once', async () => {
    const filter = { room: { timeline: { limit: 10 } }, 'org.example.x': 1 };
    const { filter_id: id } = await alice.ok('POST', filters(alice), filter);
    expect(id).toMatch(/^[\w-]+$/);
    expect(await alice.ok('GET', filters(alice, id))).toEqual(filter);
    expect((await alice.ok('POST', filters(alice), filter)).filter_id).toBe(id);
    expect((await bob.call('GET', filters(bob, id))).status).toBe(404);
    expect((await bob.call('GET', filters(alice, id))).status).toBe(403);
    expect((await alice.call('GET', filters(alice, 'x'.repeat(3000)))).status).toBe(404);
  });

  it('that are none are refused', async () => {
    expect(await alice.call('POST', filters(alice), { room: { timeline: { types: [0] } } })).toMatchObject({
      status: 400,
      body: { errcode: 'M_BAD_JSON' },
    });
    expect((await alice.call('POST', filters(alice), '[]')).body).toMatchObject({ errcode: 'M_BAD_JSON' });
    const huge = { room: { rooms: Array.from({ length: 1000 }, (_, n) => `!${n}${'x'.repeat(100)}:localhost`) } };
    expect(await alice.call('POST', filters(alice), huge)).toMatchObject({
      status: 413,
      body: { errcode: 'M_TOO_LARGE' },
    });
  });
});
