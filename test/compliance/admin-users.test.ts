/** Accounts through Synapse's administration API: what its tools ask, and what becomes of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPage } from '#projections/audit/queries.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

/** Why, and under which case, what people wrote is read. */
const GROUNDS = { reason: 'a test', case_id: 'C-1' };
const ADMIN = '/_synapse/admin';

let app: TestApplication;
let admin: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [admin, bob] = [await app.register('admin'), await app.register('bob')];
  await app.context.accounts.setAdmin(admin.userId, true);
  await bob.ok('PUT', `/profile/${bob.userId}/displayname`, { displayname: 'Robert' });
});
afterAll(() => app.close());

const names = (answer: unknown) => (answer as { users: { name: string }[] }).users.map(({ name }) => name);

describe('the list of accounts', () => {
  it('is paged, ordered and searched, and tells what it does of each', async () => {
    const first = await admin.ok('GET', `${ADMIN}/v2/users?limit=1`);
    expect(first).toMatchObject({
      users: [{ name: admin.userId, admin: true, deactivated: false }],
      total: 2,
      next_token: '1',
    });
    const second = await admin.ok('GET', `${ADMIN}/v2/users?limit=1&from=1`);
    expect(second).toMatchObject({
      users: [{ name: bob.userId, displayname: 'Robert', creation_ts: expect.any(Number) }],
    });
    expect(second).not.toHaveProperty('next_token');
    expect(names(await admin.ok('GET', `${ADMIN}/v2/users?dir=b`))).toEqual([bob.userId, admin.userId]);
    expect(names(await admin.ok('GET', `${ADMIN}/v2/users?name=rOb`))).toEqual([bob.userId]);
    expect(names(await admin.ok('GET', `${ADMIN}/v2/users?user_id=min`))).toEqual([admin.userId]);
    expect(names(await admin.ok('GET', `${ADMIN}/v2/users?admins=false&order_by=displayname`))).toEqual([bob.userId]);
  });

  it('is for administrators', async () => {
    expect(await bob.call('GET', `${ADMIN}/v2/users`)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
    expect((await bob.call('GET', `${ADMIN}/v2/users?order_by=shoe_size`)).status).toBe(403);
    expect(await admin.call('GET', `${ADMIN}/v2/users?order_by=shoe_size`)).toMatchObject({ status: 400 });
  });
});

describe('an account', () => {
  it('is made, shown, changed and closed for ever', async () => {
    const path = `${ADMIN}/v2/users/@carol:localhost`;
    expect((await admin.call('GET', path)).status).toBe(404);
    expect(await admin.call('PUT', path, { displayname: 'Carol' })).toMatchObject({
      status: 400,
      body: { errcode: 'M_MISSING_PARAM' },
    });
    const made = await admin.call('PUT', path, { password: 'correct horse battery', displayname: 'Carol' });
    expect(made).toMatchObject({ status: 201, body: { name: '@carol:localhost', displayname: 'Carol', admin: false } });
    const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'carol' } };
    const carol = await admin.ok('POST', '/login', { ...login, password: 'correct horse battery' });
    const changed = await admin.call('PUT', path, { password: 'staple staple staple', admin: true });
    expect(changed).toMatchObject({ status: 200, body: { admin: true } });
    const gone = await app.http.inject({
      url: '/_matrix/client/v3/account/whoami',
      headers: { authorization: `Bearer ${String(carol['access_token'])}` },
    });
    expect(gone.statusCode).toBe(401);
    await admin.ok('POST', `${ADMIN}/v1/deactivate/@carol:localhost`, { erase: true });
    expect(await admin.ok('GET', path)).toMatchObject({ deactivated: true, erased: true });
    expect(names(await admin.ok('GET', `${ADMIN}/v2/users`))).not.toContain('@carol:localhost');
    expect(names(await admin.ok('GET', `${ADMIN}/v3/users`))).toContain('@carol:localhost');
    expect(names(await admin.ok('GET', `${ADMIN}/v3/users?deactivated=true`))).toEqual(['@carol:localhost']);
    expect(await admin.call('PUT', path, { deactivated: false, password: 'back again please' })).toMatchObject({
      status: 400,
    });
    expect((await admin.call('GET', `${ADMIN}/v1/username_available?username=carol`)).status).toBe(400);
    expect(await admin.ok('GET', `${ADMIN}/v1/username_available?username=dave`)).toEqual({ available: true });
  });

  it('of another server is nobody here', async () => {
    for (const [method, path, body] of [
      ['GET', `${ADMIN}/v2/users/@x:elsewhere.org`],
      ['PUT', `${ADMIN}/v2/users/@x:elsewhere.org`, {}],
      ['POST', `${ADMIN}/v1/reset_password/@x:elsewhere.org`, { new_password: 'correct horse' }],
    ] as const) {
      expect(await admin.call(method, path, body)).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } });
    }
  });

  it('has a password that is not on record when it is reset', async () => {
    await admin.ok('POST', `${ADMIN}/v1/reset_password/${bob.userId}`, {
      new_password: 'a word for nobody',
      logout_devices: false,
    });
    await bob.ok('GET', '/account/whoami');
    const [entry] = auditPage(app.engine.reader, { action: 'user.password' }, { limit: 1 }).entries;
    expect(entry).toMatchObject({ target: { id: bob.userId }, after: { logout_devices: false } });
    expect(JSON.stringify(entry)).not.toContain('a word for nobody');
  });

  it('can be made that of an administrator, and nobody takes that from themselves', async () => {
    const path = (user: TestClient) => `${ADMIN}/v1/users/${user.userId}/admin`;
    await admin.ok('PUT', path(bob), { admin: true });
    expect(await admin.ok('GET', path(bob))).toEqual({ admin: true });
    await admin.ok('PUT', path(bob), { admin: false });
    expect((await admin.call('PUT', path(admin), { admin: false })).status).toBe(403);
    expect(await admin.ok('GET', path(admin))).toEqual({ admin: true });
  });
});

describe('acting as a user', () => {
  it('gives a token of a device that the user sees, for as long as it is wanted', async () => {
    const { access_token: token } = await admin.ok('POST', `${ADMIN}/v1/users/${bob.userId}/login`, {
      valid_until_ms: app.context.clock() + 60_000,
      ...GROUNDS,
    });
    const headers = { authorization: `Bearer ${String(token)}` };
    const whoami = await app.http.inject({ url: '/_matrix/client/v3/account/whoami', headers });
    expect(whoami.json()).toMatchObject({ user_id: bob.userId });
    const { devices } = (await bob.ok('GET', '/devices')) as unknown as { devices: { display_name?: string }[] };
    expect(devices.map(({ display_name }) => display_name)).toContain('Server administrator');
    expect(
      (await admin.call('POST', `${ADMIN}/v1/users/${bob.userId}/login`, { valid_until_ms: 1, ...GROUNDS })).status,
    ).toBe(400);
    expect((await admin.call('POST', `${ADMIN}/v1/users/${admin.userId}/login`, {})).status).toBe(403);
  });

  it('needs a reason and a case: it shows all that the user can read', async () => {
    expect((await admin.call('POST', `${ADMIN}/v1/users/${bob.userId}/login`, {})).status).toBe(403);
  });

  it('does not lend the roles of the user, so that one person stays one where two are needed', async () => {
    await admin.ok('PUT', `${ADMIN}/v1/users/${bob.userId}/admin`, { admin: true });
    const { access_token: token } = await admin.ok('POST', `${ADMIN}/v1/users/${bob.userId}/login`, GROUNDS);
    const asked = { reason: 'an emergency', case_id: 'C-1', duration_ms: 60_000 };
    const { grant_id: grantId } = await admin.ok('POST', '/_stele/admin/break_glass', asked);
    const approve = { method: 'POST', url: `/_stele/admin/break_glass/${String(grantId)}/approve` } as const;
    const authorization = `Bearer ${String(token)}`;
    const lent = await app.http.inject({ ...approve, headers: { authorization }, payload: {} });
    expect(lent.statusCode).toBe(403);
    expect((await bob.call('POST', approve.url, {})).status).toBe(200);
    await admin.ok('PUT', `${ADMIN}/v1/users/${bob.userId}/admin`, { admin: false });
  });
});

describe('what belongs to a user', () => {
  it('rooms, devices and pushers are listed; account data is shown for a reason', async () => {
    const { room_id: roomId } = await bob.ok('POST', '/createRoom', {});
    expect(await admin.ok('GET', `${ADMIN}/v1/users/${bob.userId}/joined_rooms`)).toEqual({
      joined_rooms: [roomId],
      total: 1,
    });
    expect(await admin.ok('GET', `${ADMIN}/v1/users/${bob.userId}/memberships`)).toEqual({
      memberships: { [String(roomId)]: 'join' },
    });
    expect(await admin.ok('GET', `${ADMIN}/v1/users/${bob.userId}/pushers`)).toEqual({ pushers: [], total: 0 });
    const made = `${ADMIN}/v2/users/${bob.userId}/devices`;
    expect((await admin.call('POST', made, { device_id: 'SPARE' })).status).toBe(201);
    expect((await admin.call('POST', made, { device_id: 'SPARE' })).status).toBe(201);
    expect((await admin.call('POST', made, { device_id: '' })).status).toBe(400);
    expect(await admin.ok('GET', `${made}/SPARE`)).toMatchObject({ device_id: 'SPARE', display_name: null });
    const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' }, device_id: 'SPARE' };
    const spare = await admin.ok('POST', '/login', { ...login, password: 'a word for nobody' });
    expect(spare).toMatchObject({ device_id: 'SPARE', user_id: bob.userId });
    await admin.ok('DELETE', `${made}/SPARE`);
    const device = `${ADMIN}/v2/users/${bob.userId}/devices/${bob.deviceId}`;
    await admin.ok('PUT', device, { display_name: 'Lost phone' });
    expect(await admin.ok('GET', device)).toMatchObject({
      device_id: bob.deviceId,
      display_name: 'Lost phone',
      user_id: bob.userId,
    });
    await bob.ok('PUT', `/user/${bob.userId}/account_data/org.example`, { a: 1 });
    const asked = `${ADMIN}/v1/users/${bob.userId}/accountdata`;
    expect(await admin.call('GET', asked)).toMatchObject({ status: 403 });
    const shown = await app.http.inject({
      url: asked,
      headers: { authorization: `Bearer ${admin.accessToken}`, 'x-stele-reason': 'support', 'x-stele-case': 'S-1' },
    });
    expect(shown.json()).toMatchObject({ account_data: { global: { 'org.example': { a: 1 } }, rooms: {} } });
    await admin.ok('DELETE', device);
    expect((await bob.call('GET', '/account/whoami')).status).toBe(401);
  });
});
