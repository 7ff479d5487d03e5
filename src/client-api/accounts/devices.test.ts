import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccountsServer, PASSWORD, type RegisterAnswer, startAccounts } from './test-kit.ts';

const AUTH = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: PASSWORD };

let server: AccountsServer;
let alice: RegisterAnswer;
beforeEach(async () => {
  server = await startAccounts();
  alice = await server.register('alice', { device_id: 'FIRST', initial_device_display_name: 'the first' });
});
afterEach(() => server.close());

const call = (method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, body?: object, ip?: string) =>
  server.call(method, path, { token: alice.access_token, ...(body && { body }), ...(ip !== undefined && { ip }) });
const loginAs = async (device_id: string) =>
  (
    await server.call('POST', '/login', {
      body: { ...AUTH, type: 'm.login.password', device_id, initial_device_display_name: `name of ${device_id}` },
    })
  ).body as unknown as RegisterAnswer;

describe('devices', () => {
  test('are listed with their names and when they were last seen', async () => {
    const atStart = server.accounts.devices.list('@alice:example.org');
    expect(atStart[0]?.lastSeenIp).toBeUndefined();
    await loginAs('SECOND');
    server.time.nowMs += 5000;
    const { body } = await call('GET', '/devices', undefined, '192.0.2.7');
    expect(body.devices).toEqual([
      { device_id: 'FIRST', display_name: 'the first', last_seen_ip: '192.0.2.7', last_seen_ts: server.time.nowMs },
      { device_id: 'SECOND', display_name: 'name of SECOND', last_seen_ts: expect.any(Number) },
    ]);
    expect((await call('GET', '/devices/SECOND')).body.display_name).toBe('name of SECOND');
  });

  test.each(['GET', 'PUT'] as const)('%s of a device that is not there finds nothing', async (method) => {
    for (const id of ['unknown', 'x'.repeat(300), '%00', encodeURIComponent('\u{1f600}'.repeat(200))]) {
      const answer = await call(method, `/devices/${id}`, method === 'PUT' ? { display_name: 'x' } : undefined);
      expect([answer.status, answer.body.errcode]).toEqual([404, 'M_NOT_FOUND']);
    }
  });

  test('of others cannot be seen, renamed or removed', async () => {
    const bob = await server.register('bob', { device_id: 'BOBS' });
    expect((await call('GET', '/devices/BOBS')).status).toBe(404);
    expect((await call('PUT', '/devices/BOBS', { display_name: 'mine' })).status).toBe(404);
    expect((await call('DELETE', '/devices/BOBS', { auth: AUTH })).status).toBe(200);
    expect((await server.call('GET', '/account/whoami', { token: bob.access_token })).status).toBe(200);
  });

  test('are renamed', async () => {
    expect((await call('PUT', '/devices/FIRST', { display_name: 'phone' })).body).toEqual({});
    expect((await call('GET', '/devices/FIRST')).body.display_name).toBe('phone');
    await call('PUT', '/devices/FIRST', {});
    expect((await call('GET', '/devices/FIRST')).body.display_name).toBe('phone');
    await call('PUT', '/devices/FIRST', { display_name: '' });
    expect((await call('GET', '/devices/FIRST')).body).not.toHaveProperty('display_name');
  });

  test.each([
    [{ display_name: 5 }, 'M_BAD_JSON'],
    [{ display_name: 'x'.repeat(101) }, 'M_INVALID_PARAM'],
  ])('are not renamed to %j', async (body, errcode) => {
    expect(await call('PUT', '/devices/FIRST', body)).toMatchObject({ status: 400, body: { errcode } });
  });

  test('are removed with the password, and their tokens with them', async () => {
    const second = await loginAs('SECOND');
    expect((await server.call('DELETE', '/devices/SECOND', { token: alice.access_token })).status).toBe(401);
    expect((await call('DELETE', '/devices/SECOND', { auth: AUTH })).body).toEqual({});
    expect((await call('GET', '/devices/SECOND')).status).toBe(404);
    expect((await server.call('GET', '/account/whoami', { token: second.access_token })).body).toMatchObject({
      errcode: 'M_UNKNOWN_TOKEN',
      soft_logout: false,
    });
    expect((await call('DELETE', '/devices/SECOND', { auth: AUTH })).status).toBe(200);
  });

  test('are removed several at once, this one included', async () => {
    for (const id of ['A', 'B', 'C']) await loginAs(id);
    const body = { devices: ['A', 'B', 'FIRST', 'A', 'unknown', 'x'.repeat(3000)], auth: AUTH };
    expect((await call('POST', '/delete_devices', body)).status).toBe(200);
    expect(server.accounts.devices.list('@alice:example.org').map(({ deviceId }) => deviceId)).toEqual(['C']);
    expect((await call('GET', '/devices')).status).toBe(401);
  });

  test.each([
    [{}, 'M_MISSING_PARAM'],
    [{ devices: 'A' }, 'M_BAD_JSON'],
    [{ devices: [5] }, 'M_BAD_JSON'],
    [{ devices: Array(1001).fill('A') }, 'M_BAD_JSON'],
  ])('are not removed by %j', async (body, errcode) => {
    expect(await call('POST', '/delete_devices', body)).toMatchObject({ status: 400, body: { errcode } });
  });
});
