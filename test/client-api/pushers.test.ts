/** Pushers over HTTP: where notifications are to go. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usersOfPushkey } from '#projections/pushers/projection.ts';
import { request, startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterAll(() => app.close());

const PUSHER = {
  app_id: 'org.example.app',
  pushkey: 'key',
  kind: 'http',
  app_display_name: 'App',
  device_display_name: 'Phone',
  lang: 'en',
  data: { url: 'https://push.example.org/_matrix/push/v1/notify', format: 'event_id_only' },
};

const pushers = async (user: TestClient) => (await user.ok('GET', '/pushers')).pushers;
const set = (user: TestClient, changes: object = {}) => user.ok('POST', '/pushers/set', { ...PUSHER, ...changes });

describe('pushers', () => {
  it('are made, changed and removed', async () => {
    expect(await pushers(alice)).toEqual([]);
    await set(alice);
    await set(alice, { lang: 'de', profile_tag: 'x' });
    await set(alice, { pushkey: 'other' });
    expect(await pushers(alice)).toEqual([
      { ...PUSHER, lang: 'de', profile_tag: 'x' },
      { ...PUSHER, pushkey: 'other' },
    ]);
    await alice.ok('POST', '/pushers/set', { app_id: PUSHER.app_id, pushkey: 'key', kind: null });
    await alice.ok('POST', '/pushers/set', { app_id: PUSHER.app_id, pushkey: 'key', kind: null });
    expect(await pushers(alice)).toEqual([{ ...PUSHER, pushkey: 'other' }]);
  });

  it('of the same key are of one user, unless appended', async () => {
    await set(alice, { pushkey: 'shared' });
    await set(bob, { pushkey: 'shared', append: true });
    expect(await pushers(alice)).toContainEqual({ ...PUSHER, pushkey: 'shared' });
    await set(bob, { pushkey: 'shared' });
    expect(await pushers(alice)).not.toContainEqual({ ...PUSHER, pushkey: 'shared' });
    expect(await pushers(bob)).toEqual([{ ...PUSHER, pushkey: 'shared' }]);
  });

  it('go with the device that set them', async () => {
    const carol = await app.register('carol');
    const { body } = await request(app.http, 'POST', '/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'carol' },
      password: 'correct horse battery staple',
    });
    await set(carol, { pushkey: 'carol 1' });
    const second = await request(
      app.http,
      'POST',
      '/pushers/set',
      { ...PUSHER, pushkey: 'carol 2' },
      String(body.access_token),
    );
    expect(second.status).toBe(200);
    expect(await pushers(carol)).toHaveLength(2);
    await request(app.http, 'POST', '/logout', {}, String(body.access_token));
    expect(await pushers(carol)).toEqual([{ ...PUSHER, pushkey: 'carol 1' }]);
  });

  it('go with the account', async () => {
    const dave = await app.register('dave');
    await set(dave, { pushkey: 'dave' });
    expect(usersOfPushkey(app.context.reader, PUSHER.app_id, 'dave')).toEqual([dave.userId]);
    await dave.ok('POST', '/account/deactivate', {
      auth: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: 'dave' },
        password: 'correct horse battery staple',
      },
    });
    expect(usersOfPushkey(app.context.reader, PUSHER.app_id, 'dave')).toEqual([]);
  });

  it.each([
    [{ pushkey: undefined }, 'M_MISSING_PARAM'],
    [{ kind: undefined }, 'M_MISSING_PARAM'],
    [{ lang: undefined }, 'M_MISSING_PARAM'],
    [{ data: undefined }, 'M_MISSING_PARAM'],
    [{ data: {} }, 'M_MISSING_PARAM'],
    [{ data: { url: 'http://push.example.org/_matrix/push/v1/notify' } }, 'M_INVALID_PARAM'],
    [{ data: { url: 'https://push.example.org/elsewhere' } }, 'M_INVALID_PARAM'],
    [{ data: { url: 7 } }, 'M_INVALID_PARAM'],
    [{ kind: 'email' }, 'M_INVALID_PARAM'],
    [{ pushkey: 'x'.repeat(513) }, 'M_INVALID_PARAM'],
    [{ app_id: 'x'.repeat(65) }, 'M_BAD_JSON'],
    [{ data: 'x' }, 'M_BAD_JSON'],
  ])('with %j are refused: %s', async (changes, errcode) => {
    expect(await alice.call('POST', '/pushers/set', { ...PUSHER, ...changes })).toMatchObject({
      status: 400,
      body: { errcode },
    });
  });
});
