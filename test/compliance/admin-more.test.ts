/** What else Synapse's administration API has: figures about users, lookups, spaces, ends of graphs, tasks. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPage } from '#projections/audit/queries.ts';
import { findRoom, headOf } from '#projections/rooms/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const ADMIN = '/_synapse/admin/v1';
const REASON = 'reason=inquiry';

let app: TestApplication;
let admin: TestClient;
let bob: TestClient;
let carol: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [admin, bob, carol] = [await app.register('admin'), await app.register('bob'), await app.register('carol')];
  await app.context.accounts.setAdmin(admin.userId, true);
});
afterAll(() => app.close());

const newRoom = async (by: TestClient, body: object = {}) =>
  String((await by.ok('POST', '/createRoom', body))['room_id']);

describe('figures about a user', () => {
  it('count invites that were sent and rooms that were come into, from a time on', async () => {
    const dave = await app.register('dave');
    await newRoom(dave, { invite: [bob.userId] });
    const from = app.context.clock();
    app.advance(1000);
    const room = await newRoom(dave, { invite: [bob.userId, carol.userId] });
    await dave.ok('PUT', `/profile/${dave.userId}/displayname`, { displayname: 'David' });
    await dave.ok('POST', `/rooms/${room}/leave`, {});
    const path = `${ADMIN}/users/${dave.userId}`;
    const counts = async (ts: number) => [
      (await admin.ok('GET', `${path}/sent_invite_count?from_ts=${ts}`))['invite_count'],
      (await admin.ok('GET', `${path}/cumulative_joined_room_count?from_ts=${ts}`))['cumulative_joined_room_count'],
    ];
    expect(await counts(0)).toEqual([3, 2]);
    expect(await counts(from)).toEqual([2, 1]);
    expect(await counts(app.context.clock() + 1000)).toEqual([0, 0]);
    expect((await admin.call('GET', `${path}/sent_invite_count`)).status).toBe(400);
    expect((await bob.call('GET', `${path}/sent_invite_count?from_ts=0`)).status).toBe(403);
  });
});

describe('an account', () => {
  it('is suspended, and asked about, in the words of Synapse', async () => {
    const path = `${ADMIN}/suspend/${carol.userId}`;
    expect(await admin.ok('PUT', path, { suspend: true })).toEqual({ [`user_${carol.userId}_suspended`]: true });
    expect(await carol.call('POST', '/createRoom', {})).toMatchObject({ body: { errcode: 'M_USER_SUSPENDED' } });
    await admin.ok('PUT', path, { suspend: false });
    await newRoom(carol);
    expect(await admin.ok('GET', `${ADMIN}/whois/${carol.userId}`)).toMatchObject({ user_id: carol.userId });
  });

  it('may replace its cross-signing keys without a password for ten minutes', async () => {
    const path = `${ADMIN}/users/${bob.userId}/_allow_cross_signing_replacement_without_uia`;
    expect((await admin.call('POST', path, {})).status).toBe(404);
    const upload = (name: string) =>
      bob.call('POST', '/keys/device_signing/upload', {
        master_key: { user_id: bob.userId, usage: ['master'], keys: { [`ed25519:${name}`]: name } },
      });
    const keys = ['A', 'B', 'C', 'D'].map((letter) => `${letter.repeat(42)}A`) as [string, string, string, string];
    expect((await upload(keys[0])).status).toBe(200);
    expect((await upload(keys[1])).status).toBe(401);
    const { updatable_without_uia_before_ms: until } = await admin.ok('POST', path, {});
    expect(Number(until)).toBeGreaterThan(app.now());
    expect((await upload(keys[2])).status).toBe(200);
    app.advance(10 * 60 * 1000);
    expect((await upload(keys[3])).status).toBe(401);
  });

  it('is found by no address and no provider, and has the features that all have', async () => {
    for (const path of ['threepid/email/users/bob@example.org', 'auth_providers/oidc/users/bob']) {
      expect(await admin.call('GET', `${ADMIN}/${path}`)).toMatchObject({
        status: 404,
        body: { errcode: 'M_NOT_FOUND' },
      });
    }
    const path = `${ADMIN}/experimental_features/${bob.userId}`;
    const { features } = await admin.ok('GET', path);
    expect(features).toMatchObject({ msc3881: false, msc4222: true });
    await admin.ok('PUT', path, { features: { msc4222: true } });
    for (const wanted of [{ msc4222: false }, { msc3881: true }, { unheard_of: true }, { constructor: true }]) {
      expect((await admin.call('PUT', path, { features: wanted })).status).toBe(400);
    }
  });

  it('closed by an administrator is closed as by its owner: erasure begins, and rooms are left', async () => {
    const erin = await app.register('erin');
    const room = await newRoom(erin, { preset: 'public_chat' });
    await bob.ok('POST', `/rooms/${room}/join`, {});
    await admin.ok('POST', `${ADMIN}/deactivate/${erin.userId}`, { erase: true });
    expect(await admin.ok('GET', `/_synapse/admin/v2/users/${erin.userId}`)).toMatchObject({
      deactivated: true,
      erased: true,
    });
    await expect
      .poll(async () => (await bob.ok('GET', `/rooms/${room}/joined_members`))['joined'])
      .not.toHaveProperty(erin.userId);
    await expect.poll(() => app.context.compliance.erasures.of(erin.userId)).toHaveLength(1);
  });
});

describe('rooms', () => {
  it('of a space are listed whoever may see them', async () => {
    const space = await newRoom(bob, { creation_content: { type: 'm.space' }, name: 'Space' });
    const inner = await newRoom(bob, { name: 'Inner' });
    const child = (room: string) =>
      bob.ok('PUT', `/rooms/${space}/state/m.space.child/${room}`, { via: ['localhost'] });
    await child(inner);
    await child('!elsewhere:far.example.org');
    const names = async (query: string) => {
      const { rooms, ...rest } = await admin.ok('GET', `${ADMIN}/rooms/${space}/hierarchy${query}`);
      return { names: (rooms as unknown as { name: string }[]).map(({ name }) => name), ...rest };
    };
    expect(await names('')).toEqual({ names: ['Space', 'Inner'] });
    expect(await names('?max_depth=0')).toEqual({ names: ['Space'] });
    const first = await names('?limit=1');
    expect(first).toEqual({ names: ['Space'], next_batch: expect.any(String) });
    expect((await admin.call('GET', `/_matrix/client/v1/rooms/${space}/hierarchy`)).status).toBe(403);
    expect((await admin.call('GET', `${ADMIN}/rooms/!nowhere:localhost/hierarchy`)).status).toBe(404);
  });

  it('are searched by time, for a reason and under a case', async () => {
    const room = await newRoom(bob);
    const path = `${ADMIN}/rooms/${room}/timestamp_to_event?ts=${app.now()}`;
    app.advance(5000);
    const { event_id: said } = await bob.ok('PUT', `/rooms/${room}/send/m.room.message/1`, {
      msgtype: 'm.text',
      body: 'x',
    });
    expect((await admin.call('GET', path)).status).toBe(403);
    const asked = await app.http.inject({
      url: path,
      headers: { authorization: `Bearer ${admin.accessToken}`, 'x-stele-reason': REASON, 'x-stele-case': 'C-7' },
    });
    expect(asked.json()).toEqual({ event_id: said, origin_server_ts: expect.any(Number) });
  });

  it('have the ends of their graph joined, not thrown away', async () => {
    const room = await newRoom(bob);
    const path = `${ADMIN}/rooms/${room}/forward_extremities`;
    expect(await admin.ok('DELETE', path)).toEqual({ deleted: 0 });
    const at = () => headOf(app.engine.reader, findRoom(app.engine.reader, room)?.id ?? -1);
    expect(at()?.extremities).toHaveLength(1);
    const entry = auditPage(app.engine.reader, { action: 'room.extremities' }, { limit: 1 }).entries[0];
    expect(entry).toMatchObject({ before: { count: 1 } });
  });

  it('are ordered by what they take', async () => {
    const large = await newRoom(bob);
    for (let index = 0; index < 30; index += 1) {
      await bob.ok('PUT', `/rooms/${large}/send/m.room.message/${index}`, {
        msgtype: 'm.text',
        body: 'x'.repeat(5000),
      });
    }
    const { rooms } = await admin.ok('GET', `${ADMIN}/statistics/database/rooms`);
    const [first] = rooms as unknown as { room_id: string; estimated_size: number }[];
    expect(first?.room_id).toBe(large);
    expect(first?.estimated_size).toBeGreaterThan(150_000);
  });
});

describe('the background', () => {
  it('is not paused, and does the jobs that there are', async () => {
    const path = `${ADMIN}/background_updates`;
    expect(await admin.ok('GET', `${path}/enabled`)).toEqual({ enabled: true });
    expect((await admin.call('POST', `${path}/enabled`, { enabled: false })).status).toBe(400);
    expect(await admin.ok('GET', `${path}/status`)).toEqual({ enabled: true, current_updates: {} });
    expect((await admin.call('POST', `${path}/start_job`, { job_name: 'event_resign' })).status).toBe(400);
    await admin.ok('POST', `${path}/start_job`, { job_name: 'regenerate_directory' });
    await admin.ok('POST', `${path}/start_job`, { job_name: 'rebuild_search_index' });
    await app.context.tasks.settled();
    const tasks = `${ADMIN}/scheduled_tasks?action_name=background_update`;
    expect(await admin.ok('GET', tasks)).toEqual({
      scheduled_tasks: [
        {
          id: expect.any(String),
          action: 'background_update',
          status: 'complete',
          timestamp_ms: expect.any(Number),
          resource_id: 'rebuild_search_index',
          result: {},
          error: null,
        },
      ],
    });
    expect(await admin.ok('GET', `${tasks}&status=failed`)).toEqual({ scheduled_tasks: [] });
  });

  it('has no validity of accounts', async () => {
    expect(await admin.call('POST', `${ADMIN}/account_validity/validity`, { user_id: bob.userId })).toMatchObject({
      status: 404,
      body: { errcode: 'M_UNRECOGNIZED' },
    });
  });
});
