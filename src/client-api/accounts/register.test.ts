import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccountsServer, PASSWORD, startAccounts } from './test-kit.ts';

const DUMMY = { type: 'm.login.dummy' };

describe('registering where it is open', () => {
  let server: AccountsServer;
  beforeEach(async () => {
    server = await startAccounts();
  });
  afterEach(() => server.close());

  const register = (body: object | string, query = '') => server.call('POST', `/register${query}`, { body });

  test('without auth it tells the flows and gives a session', async () => {
    const { status, body } = await register({});
    expect(status).toBe(401);
    expect(body).toMatchObject({ flows: [{ stages: ['m.login.dummy'] }], params: {} });
    expect(body.session).toEqual(expect.any(String));
    expect(body).not.toHaveProperty('errcode');
  });

  test('with the session, the account is made and logged in', async () => {
    const { session } = (await register({})).body;
    const { status, body } = await register({
      username: 'alice',
      password: PASSWORD,
      initial_device_display_name: 'phone',
      auth: { ...DUMMY, session },
    });
    expect(status).toBe(200);
    expect(body).toEqual({
      user_id: '@alice:example.org',
      device_id: expect.stringMatching(/^[A-Z]{10}$/),
      access_token: expect.any(String),
    });
    const whoami = await server.call('GET', '/account/whoami', { token: String(body.access_token) });
    expect(whoami.body).toEqual({ user_id: '@alice:example.org', device_id: body.device_id, is_guest: false });
  });

  test('what was wished for once need not be said again', async () => {
    const wish = { username: 'alice', password: PASSWORD, device_id: 'xyzzy', initial_device_display_name: 'phone' };
    const { session } = (await register(wish)).body;
    const { body } = await register({ auth: { ...DUMMY, session } });
    expect(body).toMatchObject({ user_id: '@alice:example.org', device_id: 'xyzzy' });
    expect(server.accounts.devices.get('@alice:example.org', 'xyzzy')?.displayName).toBe('phone');
  });

  test('without a session of the server, dummy authentication does at once', async () => {
    expect((await register({ username: 'bob', password: PASSWORD, auth: DUMMY })).status).toBe(200);
  });

  test('the same request again gets the answer it missed; another one does not', async () => {
    const { session } = (await register({})).body;
    const request = { username: 'alice', password: PASSWORD, auth: { ...DUMMY, session } };
    const [first, again] = [await register(request), await register(request)];
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect((await register({ ...request, username: 'mallory' })).status).toBe(401);
    expect(server.accounts.find('@mallory:example.org')).toBeUndefined();
  });

  test('the session does not make two accounts when it is used twice at once', async () => {
    const { session } = (await register({})).body;
    const answers = await Promise.all(
      ['one', 'two'].map((username) => register({ username, password: PASSWORD, auth: { ...DUMMY, session } })),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 403]);
  });

  test('a device id of the client is taken, and a client that refreshes gets a token that expires', async () => {
    const body = await server.register('alice', { device_id: 'my_device', refresh_token: true });
    expect(body).toMatchObject({ device_id: 'my_device', expires_in_ms: 3_600_000 });
    expect(body.refresh_token).toEqual(expect.any(String));
  });

  test('inhibit_login makes the account only', async () => {
    const { body } = await register({ username: 'alice', password: PASSWORD, inhibit_login: true, auth: DUMMY });
    expect(body).toEqual({ user_id: '@alice:example.org' });
    expect(server.accounts.devices.list('@alice:example.org')).toEqual([]);
  });

  test('without a wish for a name one is made up', async () => {
    const { body } = await register({ password: PASSWORD, auth: DUMMY });
    expect(body.user_id).toMatch(/^@[a-z2-7]{12}:example\.org$/);
  });

  test('capital letters are lowered, and then name the same user', async () => {
    expect((await server.register('user-UPPER')).user_id).toBe('@user-upper:example.org');
    expect((await register({ username: 'USER-upper' })).body).toMatchObject({ errcode: 'M_USER_IN_USE' });
  });

  test.each([...'!":?\\@[]{|}£é\n\' ,*#$%'])('a name with %j is refused before any stage', async (character) => {
    const { status, body } = await register({ username: `user${character}x` });
    expect([status, body.errcode]).toEqual([400, 'M_INVALID_USERNAME']);
  });

  test.each(['', '_bridge_user', 'a'.repeat(243), '\u212a'])('the name %j is refused', async (username) => {
    expect(await register({ username })).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_USERNAME' } });
  });

  test.each(['q', '3', '.', '_', '=', '-', '/', '+', 'a'.repeat(242)])('the name u%s is possible', async (end) => {
    const username = end.length > 1 ? end : `u${end}`;
    expect((await server.register(username)).user_id).toBe(`@${username}:example.org`);
  });

  test('of many who want one name at once, one gets it', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        register({ username: n % 2 ? 'Popular' : 'popular', password: PASSWORD, auth: DUMMY }),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ body }) => body.errcode === 'M_USER_IN_USE')).toHaveLength(11);
  });

  test.each([
    ['a password that is too short', { username: 'a', password: '1234567' }, 400, 'M_WEAK_PASSWORD'],
    ['a password that is too long', { username: 'a', password: 'x'.repeat(513) }, 400, 'M_INVALID_PARAM'],
    ['no password', { username: 'a', auth: DUMMY }, 400, 'M_MISSING_PARAM'],
    ['a name that is no text', { username: 5 }, 400, 'M_BAD_JSON'],
    ['auth that is no object', { auth: 'yes' }, 400, 'M_BAD_JSON'],
    ['inhibit_login that is no boolean', { inhibit_login: 'true' }, 400, 'M_BAD_JSON'],
    ['a list', [], 400, 'M_BAD_JSON'],
    ['no JSON', '{', 400, 'M_NOT_JSON'],
    ['a device id with a NUL', { password: PASSWORD, device_id: 'a\0', auth: DUMMY }, 400, 'M_INVALID_PARAM'],
    ['an endless device id', { password: PASSWORD, device_id: 'a'.repeat(256), auth: DUMMY }, 400, 'M_INVALID_PARAM'],
    ['half a surrogate pair', { password: PASSWORD, device_id: '\ud800', auth: DUMMY }, 400, 'M_BAD_JSON'],
  ])('%s is refused', async (_what, body, status, errcode) => {
    const answer = await register(body);
    expect([answer.status, answer.body.errcode]).toEqual([status, errcode]);
  });

  test('stages that there are not, and sessions that are over, get the flows again', async () => {
    for (const auth of [{ type: 'm.login.recaptcha' }, { type: 'constructor' }, { ...DUMMY, session: 'unknown' }]) {
      const { status, body } = await register({ username: 'a', password: PASSWORD, auth });
      expect([status, body.errcode]).toEqual([401, 'M_UNAUTHORIZED']);
      expect(body.flows).toEqual([{ stages: ['m.login.dummy'] }]);
    }
    const { session } = (await register({})).body;
    server.time.nowMs += 31 * 60_000;
    expect((await register({ password: PASSWORD, auth: { ...DUMMY, session } })).status).toBe(401);
  });

  test('there are guests, and users, and nothing else', async () => {
    expect(await register({}, '?kind=guest')).toMatchObject({ status: 200, body: { user_id: expect.any(String) } });
    expect(await register({}, '?kind=robot')).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } });
    expect((await register({}, '?kind=user')).status).toBe(401);
  });

  test('a full disk is answered with 503, and the name stays free', async () => {
    server.log.refuseWrites('the disk is full');
    const body = { username: 'alice', password: PASSWORD, auth: DUMMY };
    expect((await register(body)).status).toBe(503);
    server.log.refuseWrites(undefined);
    expect((await register(body)).status).toBe(200);
  });

  test('register/available', async () => {
    await server.register('alice');
    const available = (query: string) => server.call('GET', `/register/available${query}`);
    expect(await available('?username=bob')).toMatchObject({ status: 200, body: { available: true } });
    expect(await available('?username=Alice')).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } });
    expect(await available('?username=a%20b')).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_USERNAME' } });
    expect(await available('')).toMatchObject({ status: 400, body: { errcode: 'M_MISSING_PARAM' } });
  });
});

describe('registering where a token is needed', () => {
  let server: AccountsServer;
  beforeEach(async () => {
    server = await startAccounts({ registration: { token_required: true } });
  });
  afterEach(() => server.close());

  const TYPE = 'm.login.registration_token';
  const register = (username: string, auth?: object) =>
    server.call('POST', '/register', { body: { username, password: PASSWORD, ...(auth && { auth }) } });
  const isValid = async (token: string) => {
    const path = `/_matrix/client/v1/register/m.login.registration_token/validity?token=${encodeURIComponent(token)}`;
    return (await server.call('GET', path)).body.valid;
  };

  test('the token is asked for, and dummy authentication does not do', async () => {
    expect((await register('alice')).body.flows).toEqual([{ stages: [TYPE] }]);
    expect(await register('alice', DUMMY)).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } });
    expect(await register('alice', { type: TYPE })).toMatchObject({
      status: 400,
      body: { errcode: 'M_MISSING_PARAM' },
    });
    for (const token of ['wrong', '', 7, null, 'x'.repeat(5000), 'é']) {
      expect(await register('alice', { type: TYPE, token })).toMatchObject({
        status: 401,
        body: { errcode: 'M_UNAUTHORIZED', session: expect.any(String) },
      });
    }
  });

  test('a token is good as often as it says', async () => {
    const token = await server.accounts.registrationTokens.create({ usesAllowed: 2 });
    for (const name of ['one', 'two']) {
      expect(await isValid(token)).toBe(true);
      expect((await register(name, { type: TYPE, token })).status).toBe(200);
    }
    expect(await isValid(token)).toBe(false);
    expect((await register('three', { type: TYPE, token })).status).toBe(401);
  });

  test('a registration that fails gives its use back only when its session is over', async () => {
    const token = await server.accounts.registrationTokens.create({ usesAllowed: 1 });
    const { session } = (await register('alice')).body;
    await server.accounts.register({ username: 'alice', password: PASSWORD, isAdmin: false, device: undefined });
    // The name went to somebody else between the two requests of this session.
    const auth = { type: TYPE, token, session };
    expect((await register('alice', auth)).body).toMatchObject({ errcode: 'M_USER_IN_USE' });
    expect((await register('alicia', { ...auth, token: 'wrong' })).status).toBe(401);
    expect(await isValid(token)).toBe(true);
    server.log.refuseWrites('the disk is full');
    expect((await register('alicia', { ...auth, session: undefined })).status).toBe(503);
    server.log.refuseWrites(undefined);
    expect(await isValid(token)).toBe(false);
    server.time.nowMs += 31 * 60_000;
    expect((await register('alicia')).status).toBe(401);
    expect(await isValid(token)).toBe(true);
  });

  test('of many at once with a token for one, one gets in', async () => {
    const token = await server.accounts.registrationTokens.create({ usesAllowed: 1 });
    const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => register(`user${n}`, { type: TYPE, token })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('a token expires', async () => {
    const token = await server.accounts.registrationTokens.create({
      token: 'fBVFdqVE',
      expiresAtMs: server.time.nowMs + 10,
    });
    expect(token).toBe('fBVFdqVE');
    expect(await isValid(token)).toBe(true);
    server.time.nowMs += 10;
    expect(await isValid(token)).toBe(false);
    expect((await register('alice', { type: TYPE, token })).status).toBe(401);
  });

  test('a token cannot be made twice, or of what is none', async () => {
    const { registrationTokens } = server.accounts;
    await registrationTokens.create({ token: 'abc' });
    for (const wrong of [
      { token: 'abc' },
      { token: 'a b' },
      { token: 'x'.repeat(65) },
      { usesAllowed: -1 },
      { expiresAtMs: 1 },
    ]) {
      await expect(registrationTokens.create(wrong)).rejects.toMatchObject({ errcode: 'M_INVALID_PARAM' });
    }
  });
});

describe('registering where it is closed', () => {
  test('everything is forbidden, with or without a token', async () => {
    const server = await startAccounts({ registration: { open: false } });
    try {
      for (const [method, path] of [
        ['POST', '/register'],
        ['GET', '/register/available?username=a'],
        ['GET', '/_matrix/client/v1/register/m.login.registration_token/validity?token=a'],
      ] as const) {
        expect(await server.call(method, path, method === 'POST' ? { body: {} } : {})).toMatchObject({
          status: 403,
          body: { errcode: 'M_FORBIDDEN' },
        });
      }
    } finally {
      await server.close();
    }
  });
});
