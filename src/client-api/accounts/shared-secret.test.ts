import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccountsServer, PASSWORD, startAccounts } from './test-kit.ts';

const SECRET = 'reg_secret';
const PATH = '/_synapse/admin/v1/register';

describe('registering with the shared secret', () => {
  let server: AccountsServer;
  beforeEach(async () => {
    server = await startAccounts({ registration: { open: false, shared_secret: SECRET } });
  });
  afterEach(() => server.close());

  const newNonce = async () => String((await server.call('GET', PATH)).body.nonce);
  const mac = (nonce: string, username: string, admin = 'notadmin', secret = SECRET) =>
    createHmac('sha1', secret).update([nonce, username, PASSWORD, admin].join('\0')).digest('hex');
  const post = (body: object) => server.call('POST', PATH, { body });

  test('makes a user, also where registration is closed', async () => {
    const nonce = await newNonce();
    const { status, body } = await post({ nonce, username: 'aliceA', password: PASSWORD, mac: mac(nonce, 'aliceA') });
    expect(status).toBe(200);
    expect(body).toEqual({
      user_id: '@alicea:example.org',
      home_server: 'example.org',
      device_id: expect.any(String),
      access_token: expect.any(String),
    });
    expect(server.accounts.find('@alicea:example.org')?.isAdmin).toBe(false);
  });

  test('makes an administrator', async () => {
    const nonce = await newNonce();
    const body = { nonce, username: 'root', password: PASSWORD, admin: true, mac: mac(nonce, 'root', 'admin') };
    expect((await post(body)).status).toBe(200);
    expect(server.accounts.find('@root:example.org')?.isAdmin).toBe(true);
  });

  test('takes a nonce once, for a minute', async () => {
    const nonce = await newNonce();
    const body = { nonce, username: 'alice', password: PASSWORD, mac: mac(nonce, 'alice') };
    expect((await post(body)).status).toBe(200);
    const again = { ...body, username: 'bob', mac: mac(nonce, 'bob') };
    expect(await post(again)).toMatchObject({ status: 400, body: { errcode: 'M_UNKNOWN' } });
    const late = await newNonce();
    server.time.nowMs += 60_000;
    expect((await post({ nonce: late, username: 'bob', password: PASSWORD, mac: mac(late, 'bob') })).status).toBe(400);
  });

  test('refuses what the secret does not vouch for', async () => {
    for (const [admin, wrong] of [
      [true, (nonce: string) => mac(nonce, 'alice')],
      [false, (nonce: string) => mac(nonce, 'alice', 'notadmin', 'guess')],
      [false, () => ''],
      [false, () => 'é'.repeat(20)],
    ] as const) {
      const nonce = await newNonce();
      const body = { nonce, username: 'alice', password: PASSWORD, admin, mac: wrong(nonce) };
      expect(await post(body)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
    }
    expect(server.accounts.find('@alice:example.org')).toBeUndefined();
  });

  test('checks names as everywhere', async () => {
    const nonce = await newNonce();
    const answer = await post({ nonce, username: 'us,er', password: PASSWORD, mac: mac(nonce, 'us,er') });
    expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_USERNAME' } });
    expect(await post({ nonce })).toMatchObject({ status: 400, body: { errcode: 'M_MISSING_PARAM' } });
  });
});

test('without a shared secret there is no such way', async () => {
  const server = await startAccounts();
  try {
    for (const method of ['GET', 'POST'] as const) {
      const body = { nonce: 'a', username: 'a', password: PASSWORD, mac: 'a' };
      const answer = await server.call(method, PATH, method === 'POST' ? { body } : {});
      expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_UNKNOWN' } });
    }
  } finally {
    await server.close();
  }
});
