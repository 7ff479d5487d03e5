import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccountsServer, PASSWORD, type RegisterAnswer, startAccounts } from './test-kit.ts';

const ALICE = '@alice:example.org';
const NEW_PASSWORD = 'another good password';

let server: AccountsServer;
let alice: RegisterAnswer;
beforeEach(async () => {
  server = await startAccounts();
  alice = await server.register('alice');
});
afterEach(() => server.close());

const login = (password: string, more: object = {}) =>
  server.call('POST', '/login', {
    body: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password, ...more },
  });
const whoami = async (token: string) => (await server.call('GET', '/account/whoami', { token })).status;
const passwordAuth = (more: object = {}) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: ALICE },
  password: PASSWORD,
  ...more,
});

describe('changing the password', () => {
  const change = (body: object, token: string | undefined = alice.access_token) =>
    server.call('POST', '/account/password', { token, body });

  test('asks for the old one, then keeps this device only', async () => {
    const other = (await login(PASSWORD)).body;
    const asked = await change({ new_password: NEW_PASSWORD });
    expect(asked).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.password'] }] } });
    const auth = passwordAuth({ session: asked.body.session });
    expect(await change({ new_password: NEW_PASSWORD, auth })).toMatchObject({ status: 200, body: {} });
    expect(await whoami(alice.access_token)).toBe(200);
    expect(await whoami(String(other.access_token))).toBe(401);
    expect((await login(PASSWORD)).status).toBe(403);
    expect((await login(NEW_PASSWORD)).status).toBe(200);
  });

  test('keeps the other devices when asked to', async () => {
    const other = (await login(PASSWORD)).body;
    const body = { new_password: NEW_PASSWORD, logout_devices: false, auth: passwordAuth() };
    expect((await change(body)).status).toBe(200);
    expect(await whoami(String(other.access_token))).toBe(200);
  });

  test('works without being logged in, for who knows the old one; then no device is kept', async () => {
    const answer = await server.call('POST', '/account/password', {
      body: { new_password: NEW_PASSWORD, auth: passwordAuth({ identifier: undefined, user: 'alice' }) },
    });
    expect(answer.status).toBe(200);
    expect(await whoami(alice.access_token)).toBe(401);
    expect((await login(NEW_PASSWORD)).status).toBe(200);
  });

  test('a wrong old one is answered with the flows, and may be tried again', async () => {
    const { session } = (await change({ new_password: NEW_PASSWORD })).body;
    const wrong = await change({ new_password: NEW_PASSWORD, auth: passwordAuth({ session, password: 'wrong one' }) });
    expect(wrong).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN', session, params: {} } });
    expect(wrong.body.flows).toEqual([{ stages: ['m.login.password'] }]);
    expect((await change({ new_password: NEW_PASSWORD, auth: passwordAuth({ session }) })).status).toBe(200);
  });

  test.each([
    ['no new password', {}, 400, 'M_MISSING_PARAM'],
    ['a new password that is too short', { new_password: 'short' }, 400, 'M_WEAK_PASSWORD'],
    ['a new password that is no text', { new_password: 5 }, 400, 'M_BAD_JSON'],
    [
      'no password',
      { new_password: NEW_PASSWORD, auth: passwordAuth({ password: undefined }) },
      400,
      'M_MISSING_PARAM',
    ],
    [
      'nobody named',
      { new_password: NEW_PASSWORD, auth: { type: 'm.login.password', password: 'x' } },
      400,
      'M_MISSING_PARAM',
    ],
    [
      'a password that is no text',
      { new_password: NEW_PASSWORD, auth: passwordAuth({ password: 5 }) },
      401,
      'M_BAD_JSON',
    ],
    ['another stage', { new_password: NEW_PASSWORD, auth: { type: 'm.login.dummy' } }, 401, 'M_UNAUTHORIZED'],
  ])('%s is refused', async (_what, body, status, errcode) => {
    const answer = await change(body);
    expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
    expect((await login(PASSWORD)).status).toBe(200);
  });
});

describe('an authentication session', () => {
  const removeDevice = (deviceId: string, auth?: object, token = alice.access_token) =>
    server.call('DELETE', `/devices/${deviceId}`, { token, body: auth === undefined ? {} : { auth } });
  const sessionFor = async (deviceId: string) => String((await removeDevice(deviceId)).body.session);

  test('is good for one path', async () => {
    await login(PASSWORD, { device_id: 'ONE' });
    await login(PASSWORD, { device_id: 'TWO' });
    const session = await sessionFor('ONE');
    expect(await removeDevice('TWO', passwordAuth({ session }))).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect((await removeDevice('ONE', passwordAuth({ session }))).status).toBe(200);
  });

  test('is good for one body', async () => {
    const remove = (devices: string[], auth?: object) =>
      server.call('POST', '/delete_devices', { token: alice.access_token, body: { devices, ...(auth && { auth }) } });
    const { session } = (await remove(['ONE'])).body;
    expect((await remove(['TWO'], passwordAuth({ session }))).status).toBe(403);
    expect((await remove(['ONE'], passwordAuth({ session }))).status).toBe(200);
  });

  test('is good for one user', async () => {
    const bob = await server.register('bob');
    const session = await sessionFor('ONE');
    const auth = passwordAuth({ session, identifier: { type: 'm.id.user', user: 'bob' } });
    expect((await removeDevice('ONE', auth, bob.access_token)).status).toBe(403);
  });

  test('does not take the password of another account', async () => {
    await server.register('bob');
    await login(PASSWORD, { device_id: 'ONE' });
    const auth = passwordAuth({ identifier: { type: 'm.id.user', user: '@bob:example.org' } });
    expect((await removeDevice('ONE', auth)).status).toBe(403);
    expect(server.accounts.devices.get(ALICE, 'ONE')).toBeDefined();
  });

  test('of which nothing is complete is not completed by asking without a stage', async () => {
    const session = await sessionFor('ONE');
    expect(await removeDevice('ONE', { session })).toMatchObject({ status: 401, body: { session } });
  });

  test('stays complete when the work fails, and then needs no password again', async () => {
    await login(PASSWORD, { device_id: 'ONE' });
    const session = await sessionFor('ONE');
    server.log.refuseWrites('the disk is full');
    expect((await removeDevice('ONE', passwordAuth({ session }))).status).toBe(503);
    server.log.refuseWrites(undefined);
    expect((await removeDevice('ONE', { session })).status).toBe(200);
    expect(server.accounts.devices.get(ALICE, 'ONE')).toBeUndefined();
  });

  test('does not do its work a second time', async () => {
    await login(PASSWORD, { device_id: 'ONE' });
    const session = await sessionFor('ONE');
    expect((await removeDevice('ONE', passwordAuth({ session }))).status).toBe(200);
    await login(PASSWORD, { device_id: 'ONE' });
    expect((await removeDevice('ONE', { session })).status).toBe(200);
    expect(server.accounts.devices.get(ALICE, 'ONE')).toBeDefined();
  });
});

describe('closing the account', () => {
  const close = (body: object, token?: string) => server.call('POST', '/account/deactivate', { body, token });

  test('asks for the password, and ends everything', async () => {
    const { session } = (await close({}, alice.access_token)).body;
    const answer = await close({ auth: passwordAuth({ session }) }, alice.access_token);
    expect(answer).toMatchObject({ status: 200, body: { id_server_unbind_result: 'success' } });
    expect(await whoami(alice.access_token)).toBe(401);
    expect(await login(PASSWORD)).toMatchObject({ status: 403, body: { errcode: 'M_USER_DEACTIVATED' } });
    expect(server.accounts.find(ALICE)).toMatchObject({ isDeactivated: true, isErased: false, passwordHash: null });
  });

  test('keeps the name taken', async () => {
    await close({ erase: true, auth: passwordAuth() }, alice.access_token);
    const { body } = await server.call('GET', '/register/available?username=alice');
    expect(body.errcode).toBe('M_USER_IN_USE');
    expect(server.accounts.find(ALICE)?.isErased).toBe(true);
  });

  test('works without being logged in, for who knows the password', async () => {
    expect((await close({ auth: passwordAuth({ password: 'wrong one' }) })).status).toBe(401);
    expect((await close({ auth: passwordAuth() })).status).toBe(200);
    expect(await whoami(alice.access_token)).toBe(401);
    expect((await close({ auth: passwordAuth() })).status).toBe(401);
  });

  test.each([[{ erase: 'yes' }], [{ auth: [] }], [{ id_server: 5 }]])('%j is refused', async (body) => {
    expect(await close(body, alice.access_token)).toMatchObject({ status: 400, body: { errcode: 'M_BAD_JSON' } });
  });
});

describe('what the server says of itself', () => {
  test('versions, with and without a token', async () => {
    const { status, body } = await server.call('GET', '/_matrix/client/versions', { token: 'whatever' });
    expect(status).toBe(200);
    expect(body.versions).toEqual(expect.arrayContaining(['v1.1', 'v1.11', 'v1.13']));
  });

  test('capabilities, to who is logged in', async () => {
    expect((await server.call('GET', '/capabilities')).status).toBe(401);
    const { body } = await server.call('GET', '/capabilities', { token: alice.access_token });
    expect(body.capabilities).toMatchObject({
      'm.change_password': { enabled: true },
      'm.room_versions': { default: '12', available: { '11': 'stable', '12': 'stable' } },
    });
  });

  test('where it is', async () => {
    const { body } = await server.call('GET', '/.well-known/matrix/client');
    expect(body).toEqual({ 'm.homeserver': { base_url: 'https://matrix.example.org' } });
  });
});
