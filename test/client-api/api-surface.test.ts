/** Every operation of the specification: that it is there, who may call it, and what a malformed call is told. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  request,
  startApplication,
  type TestAnswer,
  type TestApplication,
  type TestClient,
} from '#test/support/application.ts';
import { errorOf, exampleUrl, NOT_OFFERED, nameOf, type Operation, operations } from './api-surface.ts';

let app: TestApplication;
let admin: TestClient;

beforeAll(async () => {
  app = await startApplication();
  admin = await app.register('alice');
  // Administrators may call everything, so nothing hides behind a lack of rights.
  await app.context.accounts.setAdmin(admin.userId, true);
});
afterAll(() => app.close());

function call(operation: Operation, url = exampleUrl(operation), body?: unknown, token?: string): Promise<TestAnswer> {
  return request(app.http, operation.method, url, body, token);
}

/** The operations that this server has, of some kind, with their names. */
function offered(isOfKind: (operation: Operation) => boolean = () => true): [string, Operation][] {
  return operations
    .filter((operation) => !NOT_OFFERED.has(nameOf(operation)) && isOfKind(operation))
    .map((operation) => [nameOf(operation), operation]);
}

/** With what the query cannot do without. */
function withQuery(operation: Operation): string {
  const query = (operation.query ?? []).map((name) => `${name}=1`).join('&');
  return `${exampleUrl(operation)}${query === '' ? '' : `?${query}`}`;
}

test('the table is that of the specification', () => {
  expect(operations).toHaveLength(164);
  const names = operations.map(nameOf);
  expect(new Set(names).size).toBe(names.length);
  for (const name of NOT_OFFERED.keys()) expect(names).toContain(name);
});

test.each(operations.filter((operation) => NOT_OFFERED.has(nameOf(operation))))(
  '$method $path is not offered',
  async (operation) => {
    expect(errorOf(await call(operation, exampleUrl(operation), {}, admin.accessToken))).toBe('404 M_UNRECOGNIZED');
  },
);

describe('is there, and has the right authentication', () => {
  test.each(offered())('%s', async (_name, operation) => {
    const withoutToken = await call(operation);
    expect(withoutToken.body['errcode']).not.toBe('M_UNRECOGNIZED');
    expect(withoutToken.raw.headers['access-control-allow-origin']).toBe('*');
    const withBadToken = await call(operation, exampleUrl(operation), undefined, 'nobody');
    const withBadQuery = await call(operation, `${exampleUrl(operation)}?access_token=nobody`);
    if (operation.auth === 'token') expect(errorOf(withoutToken)).toBe('401 M_MISSING_TOKEN');
    else expect(errorOf(withoutToken)).not.toBe('401 M_MISSING_TOKEN');
    for (const answer of [withBadToken, withBadQuery]) {
      if (operation.auth === 'none') expect(errorOf(answer)).not.toBe('401 M_UNKNOWN_TOKEN');
      else expect(answer.body).toMatchObject({ errcode: 'M_UNKNOWN_TOKEN', soft_logout: false });
    }
  });
});

describe('answers preflights, and methods that it does not have', () => {
  test.each(offered())('%s', async (_name, operation) => {
    const preflight = await app.http.inject({ method: 'OPTIONS', url: exampleUrl(operation) });
    expect(preflight.statusCode).toBe(200);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, POST, PUT, DELETE, OPTIONS',
      'access-control-allow-headers': 'X-Requested-With, Content-Type, Authorization, X-Stele-Reason, X-Stele-Case',
    });
    const patch = await app.http.inject({ method: 'PATCH', url: exampleUrl(operation) });
    expect([patch.statusCode, patch.json().errcode]).toEqual([405, 'M_UNRECOGNIZED']);
    expect(String(patch.headers.allow).split(', ')).toContain(operation.method);
  });
});

/** Today's path prefixes with what they were called before. */
const OLDER_PREFIXES = [
  ['/_matrix/client/v3/', '/_matrix/client/r0/'],
  ['/_matrix/media/v3/', '/_matrix/media/r0/'],
  ['/_matrix/media/v3/', '/_matrix/media/v1/'],
] as const;

describe.each(OLDER_PREFIXES)('what is under %s is under %s too', (today, older) => {
  test.each(offered(({ path }) => path.startsWith(today)))('%s', async (_name, operation) => {
    const path = operation.path.replace(today, older);
    const expected = errorOf(await call(operation, exampleUrl(operation), undefined, 'nobody'));
    expect(errorOf(await call(operation, exampleUrl({ path }), undefined, 'nobody'))).toBe(expected);
  });
});

describe('refuses what is no JSON object', () => {
  test.each(offered(({ body }) => body === 'json'))('%s', async (_name, operation) => {
    const answers: string[] = [];
    for (const body of ['{"half":', '[]']) {
      answers.push(errorOf(await call(operation, withQuery(operation), body, admin.accessToken)));
    }
    expect(answers).toEqual(['400 M_NOT_JSON', '400 M_BAD_JSON']);
  });
});

describe('refuses a body without what it needs', () => {
  test.each(offered(({ required }) => required !== undefined))('%s', async (_name, operation) => {
    const answer = await call(operation, withQuery(operation), {}, admin.accessToken);
    expect(errorOf(answer)).toMatch(/^400 M_(MISSING_PARAM|BAD_JSON)$/);
  });
});

describe('refuses a query without what it needs', () => {
  test.each(offered(({ query }) => query !== undefined))('%s', async (_name, operation) => {
    const answer = await call(operation, exampleUrl(operation), operation.body && {}, admin.accessToken);
    expect(errorOf(answer)).toBe('400 M_MISSING_PARAM');
  });
});

describe('what is no operation', () => {
  test.each([
    '/',
    '/_matrix',
    '/_matrix/client',
    '/_matrix/client/v3',
    '/_matrix/client/v3/nothing',
    '/_matrix/client/v99/sync',
    '/_matrix/client/v3/sync/more',
    '/_matrix/media/v3/nothing',
    '/.well-known/matrix/nothing',
  ])('%s is not known', async (url) => {
    for (const method of ['GET', 'PUT', 'POST', 'DELETE'] as const) {
      const raw = await app.http.inject({ method, url, headers: { authorization: `Bearer ${admin.accessToken}` } });
      expect([raw.statusCode, raw.json().errcode]).toEqual([404, 'M_UNRECOGNIZED']);
      expect(raw.headers['access-control-allow-origin']).toBe('*');
    }
    const preflight = await app.http.inject({ method: 'OPTIONS', url });
    expect([preflight.statusCode, preflight.headers['access-control-allow-origin']]).toEqual([200, '*']);
  });

  test('a path that is not percent-encoded as it should be is told so', async () => {
    const answer = await admin.call('GET', '/rooms/%E0%A4%A/state');
    expect(errorOf(answer)).toBe('400 M_INVALID_PARAM');
  });
});
