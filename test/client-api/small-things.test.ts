/** OpenID tokens, TURN credentials, who to turn to, and what a server without bridges and addresses answers. */
import { createHmac } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { request, startApplication, type TestApplication } from '#test/support/application.ts';
import { errorOf } from './api-surface.ts';

let app: TestApplication | undefined;
async function start(settings: object = {}): Promise<TestApplication> {
  app = await startApplication(settings);
  return app;
}
afterEach(() => app?.close());

test('an OpenID token is for oneself, and says who one is', async () => {
  const { register, context } = await start();
  const alice = await register('alice');
  const token = await alice.ok('POST', `/user/${alice.userId}/openid/request_token`, {});
  expect(token).toEqual({
    access_token: expect.any(String),
    expires_in: 3600,
    matrix_server_name: 'localhost',
    token_type: 'Bearer',
  });
  expect(context.openIdTokens.verify(String(token.access_token))).toBe(alice.userId);
  const asToken = await request(alice.http, 'GET', '/sync', undefined, String(token.access_token));
  expect(errorOf(asToken)).toBe('401 M_UNKNOWN_TOKEN');
  const bob = await register('bob');
  expect(errorOf(await bob.call('POST', `/user/${alice.userId}/openid/request_token`, {}))).toBe('403 M_FORBIDDEN');
});

test('TURN credentials are made from the shared secret, and none without', async () => {
  const uris = ['turn:turn.example.org?transport=udp'];
  const { register, now } = await start({ turn: { uris, shared_secret: 'turn secret', lifetime: '2h' } });
  const alice = await register('alice');
  const { username, password, ...rest } = await alice.ok('GET', '/voip/turnServer');
  expect(rest).toEqual({ uris, ttl: 7200 });
  expect(username).toMatch(/^\d+:@alice:localhost$/);
  expect(Number(String(username).split(':')[0])).toBe(Math.floor(now() / 1000) + 7200);
  expect(password).toBe(createHmac('sha1', 'turn secret').update(String(username)).digest('base64'));
  await app?.close();
  const without = await start();
  expect(await (await without.register('bob')).ok('GET', '/voip/turnServer')).toEqual({});
});

test('the well-known files say what the configuration says', async () => {
  const contacts = [
    { role: 'm.role.admin', matrix_id: '@admin:example.org', email_address: 'admin@example.org' },
    { role: 'm.role.security', email_address: 'security@example.org' },
  ];
  const { http } = await start({ support: { page: 'https://example.org/help', contacts } });
  const support = await request(http, 'GET', '/.well-known/matrix/support');
  expect(support.body).toEqual({ contacts, support_page: 'https://example.org/help' });
  await app?.close();
  const without = await start();
  expect(errorOf(await request(without.http, 'GET', '/.well-known/matrix/support'))).toBe('404 M_NOT_FOUND');
  expect(errorOf(await request(without.http, 'GET', '/.well-known/matrix/policy_server'))).toBe('404 M_NOT_FOUND');
});

test('without bridges there are no other networks', async () => {
  const alice = await (await start()).register('alice');
  expect(await alice.ok('GET', '/thirdparty/protocols')).toEqual({});
  expect(await alice.ok('GET', '/thirdparty/user?userid=@alice:localhost')).toEqual([]);
  expect(await alice.ok('GET', '/thirdparty/location?alias=%23a:localhost')).toEqual([]);
  for (const path of ['protocol/irc', 'user/irc', 'location/irc']) {
    expect(errorOf(await alice.call('GET', `/thirdparty/${path}`))).toBe('404 M_NOT_FOUND');
  }
});

test('no addresses are kept, and none can be added', async () => {
  const alice = await (await start()).register('alice');
  expect(await alice.ok('GET', '/account/3pid')).toEqual({ threepids: [] });
  const ids = { client_secret: 'secret', sid: 'session' };
  expect(errorOf(await alice.call('POST', '/account/3pid/add', ids))).toBe('403 M_FORBIDDEN');
  const mail = { client_secret: 'secret', email: 'alice@example.org', send_attempt: 1 };
  expect(errorOf(await alice.call('POST', '/register/email/requestToken', mail))).toBe('403 M_THREEPID_DENIED');
  expect(errorOf(await alice.call('POST', '/account/3pid/email/requestToken', mail))).toBe(
    '400 M_THREEPID_MEDIUM_NOT_SUPPORTED',
  );
  const address = { medium: 'email', address: 'alice@example.org' };
  expect(await alice.ok('POST', '/account/3pid/delete', address)).toEqual({ id_server_unbind_result: 'no-support' });
});
