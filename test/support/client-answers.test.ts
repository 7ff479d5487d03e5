import { afterAll, beforeAll, expect, test } from 'vitest';
import { NOT_OFFERED, nameOf, operations } from '#test/client-api/api-surface.ts';
import { request, startApplication, type TestApplication } from './application.ts';
import { checkedOperations, wrongIn } from './client-answers.ts';

let app: TestApplication;

beforeAll(async () => {
  app = await startApplication();
});
afterAll(() => app.close());

/** Answers that are no JSON. */
const FILES = /\/(download|thumbnail)\//;

test('there is a schema for every operation of the specification, unless it gives a file', () => {
  const expected = operations.map(nameOf).filter((name) => !NOT_OFFERED.has(name) && !FILES.test(name));
  expect(checkedOperations.filter((name) => !NOT_OFFERED.has(name)).sort()).toEqual(expected.sort());
});

test.each([
  ['a member is missing', 'POST', '/createRoom', 200, {}],
  ['a member is of the wrong type', 'GET', '/account/whoami', 200, { user_id: 1 }],
  ['an event has no sender', 'GET', '/rooms/!a/messages', 200, { start: 't', chunk: [{ type: 'x', content: {} }] }],
  ['a room of a sync is no room', 'GET', '/sync', 200, { next_batch: 's', rooms: { join: { a: {} } } }],
  [
    'a member of a map is of the wrong type',
    'GET',
    '/capabilities',
    200,
    { capabilities: { 'm.change_password': {} } },
  ],
  ['a name is none', 'GET', '/joined_rooms', 200, { joined_rooms: ['#alias:localhost'] }],
  ['something is neither of what it may be', 'GET', '/pushrules/', 200, { global: { override: [{ rule_id: 'a' }] } }],
  ['an error has no code', 'GET', '/sync', 404, { error: 'gone' }],
] as const)('it is noticed when %s', (_what, method, path, status, body) => {
  const url = `/_matrix/client/v3${path}`;
  expect(wrongIn({ method, url, status, body })).toContain(`${method} ${url} was answered with ${status}`);
  expect(wrongIn({ method, url: url.replace('v3', 'r0'), status, body })).toBeDefined();
});

test('what is right, and what is of no operation, is let be', () => {
  const url = '/_matrix/client/v3/account/whoami';
  expect(wrongIn({ method: 'GET', url, status: 200, body: { user_id: '@a:b', more: 1 } })).toBeUndefined();
  expect(wrongIn({ method: 'GET', url: '/_stele/health', status: 200, body: 7 })).toBeUndefined();
  const challenge = { flows: [{ stages: ['m.login.dummy'] }], params: {}, session: 's' };
  expect(wrongIn({ method: 'POST', url: '/_matrix/client/v3/register', status: 401, body: challenge })).toBeUndefined();
});

test('a test that gets a wrong answer fails', async () => {
  const alice = await app.register('alice');
  const { serverName } = app.context;
  Object.defineProperty(app.context, 'serverName', { value: 7 });
  try {
    await expect(
      request(app.http, 'POST', `/user/${alice.userId}/openid/request_token`, {}, alice.accessToken),
    ).rejects.toThrow(/An answer is not as the specification has it.*matrix_server_name/s);
  } finally {
    Object.defineProperty(app.context, 'serverName', { value: serverName });
  }
});
