import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccountsServer, PASSWORD, type RegisterAnswer, startAccounts } from './test-kit.ts';
import { whoami as whoamiEndpoint } from './whoami.ts';

const ALICE = '@alice:example.org';

let server: AccountsServer;
let alice: RegisterAnswer;
beforeEach(async () => {
  server = await startAccounts();
  alice = await server.register('alice');
});
afterEach(() => server.close());

const login = (more: object) =>
  server.call('POST', '/login', {
    body: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: PASSWORD, ...more },
  });
const loggedIn = async (more: object = {}) => (await login(more)).body as unknown as RegisterAnswer;
const whoami = (token: string) => server.call('GET', '/account/whoami', { token });

describe('logging in', () => {
  test('with a password is the one way there is', async () => {
    expect((await server.call('GET', '/login')).body).toEqual({ flows: [{ type: 'm.login.password' }] });
  });

  test.each([
    ['the localpart', { identifier: { type: 'm.id.user', user: 'alice' } }],
    ['the whole user id', { identifier: { type: 'm.id.user', user: ALICE } }],
    ['capital letters', { identifier: { type: 'm.id.user', user: 'Alice' } }],
    ['the old member user', { identifier: undefined, user: 'alice' }],
    ['both, as some clients do', { user: 'alice' }],
  ])('naming the user by %s works', async (_how, more) => {
    const { status, body } = await login(more);
    expect(status).toBe(200);
    expect(body).toEqual({
      user_id: ALICE,
      device_id: expect.stringMatching(/^[A-Z]{10}$/),
      access_token: expect.any(String),
    });
    expect((await whoami(String(body.access_token))).body.device_id).toBe(body.device_id);
    // The first device is still there.
    expect((await whoami(alice.access_token)).status).toBe(200);
  });

  test.each([
    ['a wrong password', { password: 'wrong password' }],
    ['an empty password', { password: '' }],
    ['an endless password', { password: 'x'.repeat(10_000) }],
    ['nobody of that name', { identifier: { type: 'm.id.user', user: 'nobody' } }],
    ['a name that cannot be', { identifier: { type: 'm.id.user', user: 'a\0b'.repeat(3000) } }],
    ['somebody of another server', { identifier: { type: 'm.id.user', user: '@alice:elsewhere.org' } }],
    ['a user id without a server', { identifier: { type: 'm.id.user', user: '@alice' } }],
    ['an address', { identifier: { type: 'm.id.thirdparty', medium: 'email', address: 'a@b.c' } }],
    ['an address without a type', { identifier: { medium: 'email', address: 'a@b.c' } }],
    ['an address the old way', { identifier: undefined, medium: 'email', address: 'a@b.c' }],
    ['a phone number', { identifier: { type: 'm.id.phone', country: 'GB', phone: '1' } }],
  ])('%s is forbidden', async (_what, more) => {
    const { status, body } = await login(more);
    expect([status, body.errcode]).toEqual([403, 'M_FORBIDDEN']);
  });

  test('a wrong name and a wrong password sound the same', async () => {
    const [name, password] = [
      await login({ identifier: { type: 'm.id.user', user: 'nobody' } }),
      await login({ password: 'wrong password' }),
    ];
    expect(name.body).toEqual(password.body);
  });

  test.each([
    ['an unknown type', { type: 'm.login.sso' }, 400, 'M_UNKNOWN'],
    ['no type', { type: undefined }, 400, 'M_MISSING_PARAM'],
    ['a type that is no text', { type: 3 }, 400, 'M_BAD_JSON'],
    ['no identifier', { identifier: undefined }, 400, 'M_MISSING_PARAM'],
    ['an identifier without a user', { identifier: { type: 'm.id.user' } }, 400, 'M_MISSING_PARAM'],
    ['an identifier without a type', { identifier: { user: 'alice' } }, 400, 'M_MISSING_PARAM'],
    ['an unknown identifier', { identifier: { type: 'm.id.passport' } }, 400, 'M_UNKNOWN'],
    ['an identifier that is no object', { identifier: 'alice' }, 400, 'M_BAD_JSON'],
    ['no password', { password: undefined }, 400, 'M_MISSING_PARAM'],
    ['a password that is no text', { password: 1 }, 400, 'M_BAD_JSON'],
    ['an empty device id', { device_id: '' }, 400, 'M_INVALID_PARAM'],
    ['an endless device name', { initial_device_display_name: 'x'.repeat(101) }, 400, 'M_INVALID_PARAM'],
  ])('%s is refused', async (_what, more, status, errcode) => {
    const answer = await login(more);
    expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
  });

  test('with the id of a known device, that device gets new tokens and keeps its name', async () => {
    const first = await loggedIn({ device_id: 'PHONE', initial_device_display_name: 'phone', refresh_token: true });
    const second = await loggedIn({ device_id: 'PHONE', initial_device_display_name: 'another name' });
    expect(second.device_id).toBe('PHONE');
    expect(await whoami(first.access_token)).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } });
    expect((await server.call('POST', '/refresh', { body: { refresh_token: first.refresh_token } })).status).toBe(401);
    const { body } = await server.call('GET', '/devices/PHONE', { token: second.access_token });
    expect(body.display_name).toBe('phone');
  });

  test('the same device id of two users is two devices', async () => {
    await server.register('bob', { device_id: 'PHONE' });
    const mine = await loggedIn({ device_id: 'PHONE' });
    await server.call('POST', '/logout', { token: mine.access_token });
    expect(server.accounts.devices.list('@bob:example.org').map(({ deviceId }) => deviceId)).toEqual(['PHONE']);
  });

  test('an account that has too many devices loses the one that was used longest ago', async () => {
    const device = (deviceId: string) => ({ deviceId, displayName: undefined, refreshes: false });
    for (let n = 0; n < 999; n += 1) await server.accounts.login('alice', PASSWORD, device(`D${n}`));
    expect((await whoami(alice.access_token)).status).toBe(200);
    await server.accounts.login('alice', PASSWORD, device('ONE_MORE'));
    expect((await whoami(alice.access_token)).status).toBe(401);
    expect(server.accounts.devices.list(ALICE)).toHaveLength(1000);
  });
});

describe('access tokens', () => {
  test('are needed in the header or the query', async () => {
    expect(await server.call('GET', '/account/whoami')).toMatchObject({
      status: 401,
      body: { errcode: 'M_MISSING_TOKEN' },
    });
    expect((await server.call('GET', `/account/whoami?access_token=${alice.access_token}`)).status).toBe(200);
  });

  test.each(['unknown', 'x'.repeat(5000), '\u00e9', 'stele_at_'])(
    '%j is not known, and there is nothing to keep',
    async (token) => {
      const answer = await server.call('GET', `/account/whoami?access_token=${encodeURIComponent(token)}`);
      expect(answer).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: false } });
    },
  );

  test('a refresh token is no access token, nor the other way round', async () => {
    const { access_token, refresh_token } = await loggedIn({ refresh_token: true });
    expect((await whoami(refresh_token)).status).toBe(401);
    expect((await server.call('POST', '/refresh', { body: { refresh_token: access_token } })).status).toBe(401);
  });

  test('logging out ends the session and the device, and only those', async () => {
    const other = await loggedIn();
    expect((await server.call('POST', '/logout', { token: alice.access_token })).body).toEqual({});
    expect(await whoami(alice.access_token)).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: false },
    });
    const { body } = await server.call('GET', '/devices', { token: other.access_token });
    expect(body.devices).toMatchObject([{ device_id: other.device_id }]);
  });

  test('logging out everywhere ends all sessions of the account, and of no other', async () => {
    const other = await loggedIn({ refresh_token: true });
    const bob = await server.register('bob');
    expect((await server.call('POST', '/logout/all', { token: alice.access_token })).status).toBe(200);
    for (const token of [alice.access_token, other.access_token]) expect((await whoami(token)).status).toBe(401);
    expect((await server.call('POST', '/refresh', { body: { refresh_token: other.refresh_token } })).status).toBe(401);
    expect((await whoami(bob.access_token)).status).toBe(200);
    expect((await login({})).status).toBe(200);
  });

  test('nothing of a token is in the log or in the tables', async () => {
    const { access_token, refresh_token } = await loggedIn({ refresh_token: true });
    const sections: Buffer[] = [];
    for await (const batch of server.log.readAll(-1)) {
      for (const record of batch)
        for (const section of record.sections) if (section) sections.push(Buffer.from(section));
    }
    const text = Buffer.concat(sections).toString('latin1');
    for (const secret of [access_token, refresh_token, PASSWORD]) expect(text).not.toContain(secret);
    for (const token of [access_token, refresh_token]) expect(text).not.toContain(token.slice(9));
  });
});

describe('refreshing', () => {
  const refresh = (token: unknown) => server.call('POST', '/refresh', { body: { refresh_token: token } });
  const refreshed = async (token: string) => (await refresh(token)).body as unknown as RegisterAnswer;

  test('gives new tokens; the old ones are good until one of the new is used', async () => {
    const first = await loggedIn({ refresh_token: true });
    const second = await refreshed(first.refresh_token);
    expect(second).toEqual({
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      expires_in_ms: 3_600_000,
    });
    expect((await whoami(first.access_token)).status).toBe(200);
    expect((await whoami(second.access_token)).body.device_id).toBe(first.device_id);
    expect(await whoami(first.access_token)).toMatchObject({ status: 401, body: { soft_logout: true } });
    expect(await refresh(first.refresh_token)).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true },
    });
    expect((await whoami(second.access_token)).status).toBe(200);
  });

  test('a client that did not hear the answer asks again; what it did not hear is void', async () => {
    const first = await loggedIn({ refresh_token: true });
    const lost = await refreshed(first.refresh_token);
    const second = await refreshed(first.refresh_token);
    expect((await whoami(lost.access_token)).status).toBe(401);
    expect((await refresh(lost.refresh_token)).status).toBe(401);
    expect((await whoami(first.access_token)).status).toBe(200);
    expect((await whoami(second.access_token)).status).toBe(200);
  });

  test('using the new refresh token voids the old one too', async () => {
    const first = await loggedIn({ refresh_token: true });
    const second = await refreshed(first.refresh_token);
    const third = await refreshed(second.refresh_token);
    expect((await refresh(first.refresh_token)).status).toBe(401);
    expect((await whoami(first.access_token)).status).toBe(401);
    expect((await whoami(second.access_token)).status).toBe(200);
    expect((await whoami(third.access_token)).status).toBe(200);
    // By now the first pair is forgotten, not only spent.
    expect(await refresh(first.refresh_token)).toMatchObject({ status: 401, body: { soft_logout: false } });
  });

  test('two requests with one refresh token leave one session', async () => {
    const first = await loggedIn({ refresh_token: true });
    const answers = await Promise.all([1, 2, 3].map(() => refreshed(first.refresh_token)));
    const good = [];
    for (const { access_token } of answers) good.push((await whoami(access_token)).status);
    expect(good.toSorted()).toEqual([200, 401, 401]);
  });

  test('an access token expires into a soft logout, and refreshing helps', async () => {
    const first = await loggedIn({ refresh_token: true });
    expect((await whoami(first.access_token)).status).toBe(200);
    server.time.nowMs += 3_600_000;
    expect(await whoami(first.access_token)).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true },
    });
    const second = await refreshed(first.refresh_token);
    expect((await whoami(second.access_token)).status).toBe(200);
    // The token of a client that does not refresh does not expire.
    expect((await whoami(alice.access_token)).status).toBe(200);
  });

  test('a token was used, but the log could not take it: it is good all the same', async () => {
    const first = await loggedIn({ refresh_token: true });
    const second = await refreshed(first.refresh_token);
    server.log.refuseWrites('the disk is full');
    expect((await whoami(second.access_token)).status).toBe(200);
    expect((await whoami(first.access_token)).status).toBe(200);
    server.log.refuseWrites(undefined);
    server.time.nowMs += 5_000;
    expect((await whoami(second.access_token)).status).toBe(200);
    expect((await refresh(first.refresh_token)).status).toBe(401);
  });

  test.each([
    [undefined, 400, 'M_MISSING_PARAM'],
    [5, 400, 'M_BAD_JSON'],
    ['', 401, 'M_UNKNOWN_TOKEN'],
    ['x'.repeat(10_000), 401, 'M_UNKNOWN_TOKEN'],
  ])('%j is refused', async (token, status, errcode) => {
    const answer = await refresh(token);
    expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
  });
});

test('an administrator is one from the next request on, until it ends', async () => {
  const isAdmin = () =>
    server.accounts.authenticate(alice.access_token, { ip: '', userAgent: undefined, endpoint: whoamiEndpoint })
      .isAdmin;
  expect(isAdmin()).toBe(false);
  await server.accounts.setAdmin(ALICE, true);
  expect(isAdmin()).toBe(true);
  await server.accounts.setAdmin(ALICE, false);
  expect(isAdmin()).toBe(false);
});

test('attempts on one account are limited, wherever they come from', async () => {
  const limited = await startAccounts({ isLimited: true });
  try {
    const { access_token } = await limited.register('alice');
    const attempt = (n: number, user: string) =>
      limited.call('POST', '/login', {
        ip: `10.0.0.${n}`,
        body: { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password: 'wrong password' },
      });
    for (let n = 0; n < 10; n += 1) expect((await attempt(n, 'alice')).status).toBe(403);
    const { status, body, headers } = await attempt(11, '@ALICE:example.org');
    expect([status, body.errcode, headers['retry-after']]).toEqual([429, 'M_LIMIT_EXCEEDED', '5']);
    expect((await attempt(12, 'nobody')).status).toBe(403);
    // Without being logged in, the password cannot be guessed elsewhere either; the owner is not kept from changing it.
    const change = (password: string) => ({
      new_password: 'another password',
      auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password },
    });
    expect((await limited.call('POST', '/account/password', { body: change('wrong password') })).status).toBe(429);
    const changed = await limited.call('POST', '/account/password', { token: access_token, body: change(PASSWORD) });
    expect(changed.status).toBe(200);
  } finally {
    await limited.close();
  }
});
