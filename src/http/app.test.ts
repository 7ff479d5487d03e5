import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { logTo, silentLog } from '#src/log/logger.ts';
import { ADMINISTRATOR } from '#src/roles/standing.ts';
import { NotWritten, OutcomeUnknown } from '#streams/event-log.ts';
import { RawAnswer } from './answer.ts';
import { createHttpApp, type HttpAppOptions, MAX_CONNECTIONS } from './app.ts';
import { type Endpoint, endpoint, type Requester } from './endpoint.ts';
import { forbidden, MatrixError, unavailable, unknownToken } from './errors.ts';
import { type Guard, standingOf } from './guard.ts';
import { queryFlag, queryInteger } from './query.ts';
import { RateLimiter } from './rate-limit.ts';
import type { Answered } from './register.ts';

const REQUESTERS: Readonly<Record<string, Requester>> = {
  alice: { userId: '@alice:test', deviceId: 'A', tokenId: 't1', isGuest: false, isAdmin: false },
  guest: { userId: '@1:test', deviceId: 'G', tokenId: 't2', isGuest: true, isAdmin: false },
  admin: { userId: '@root:test', deviceId: 'R', tokenId: 't3', isGuest: false, isAdmin: true },
};

function authenticate(token: string): Requester {
  const requester = REQUESTERS[token];
  if (requester === undefined) throw unknownToken(token === 'soft');
  return requester;
}

const open: FastifyInstance[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});

function appWith(
  endpoints: readonly Endpoint<object>[],
  options: Partial<HttpAppOptions<object>> = {},
): FastifyInstance {
  const app = createHttpApp<object>({
    endpoints,
    context: {},
    authenticate,
    log: silentLog(),
    closing: new AbortController().signal,
    ...options,
  });
  open.push(app);
  return app;
}

const send = endpoint({
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
  auth: 'user',
  rateLimit: 'write',
  body: 'json',
  handler: ({ params, body, requester }) => ({ ...params, body, sender: requester.userId }),
});

const SEND_URL = '/_matrix/client/v3/rooms/!r:test/send/m.x/1';
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

function put(app: FastifyInstance, payload: string | Buffer, headers: Record<string, string> = {}) {
  return app.inject({ method: 'PUT', url: SEND_URL, headers: { ...bearer('alice'), ...headers }, payload });
}

describe('paths', () => {
  test('parameters are percent-decoded, slashes too', async () => {
    const url = '/_matrix/client/v3/rooms/%21a%2Fb%3Atest/send/m.%25x/%E2%82%AC%3F';
    const answer = await appWith([send]).inject({ method: 'PUT', url, headers: bearer('alice'), payload: '{}' });
    expect(answer.json()).toMatchObject({ roomId: '!a/b:test', eventType: 'm.%x', txnId: '€?' });
  });

  test('long identifiers fit', async () => {
    const roomId = `!${'é'.repeat(126)}:t`;
    const url = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.x/1`;
    const answer = await appWith([send]).inject({ method: 'PUT', url, headers: bearer('alice'), payload: '{}' });
    expect(answer.json().roomId).toBe(roomId);
  });

  test('the names of older versions work', async () => {
    const answer = await appWith([send]).inject({
      method: 'PUT',
      url: SEND_URL.replace('v3', 'r0'),
      headers: bearer('alice'),
      payload: '{}',
    });
    expect(answer.statusCode).toBe(200);
  });

  test('a last parameter may be empty, or left out in an alias', async () => {
    const state = endpoint({
      method: 'GET',
      path: '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}',
      aliases: ['/_matrix/client/v3/rooms/{roomId}/state/{eventType}'],
      auth: 'none',
      rateLimit: 'none',
      handler: ({ params }) => ({ ...params }),
    });
    const app = appWith([state]);
    for (const url of [
      '/_matrix/client/v3/rooms/!r/state/m.room.name',
      '/_matrix/client/r0/rooms/!r/state/m.room.name/',
    ]) {
      const answer = await app.inject({ url });
      expect(answer.json()).toEqual({ roomId: '!r', eventType: 'm.room.name', stateKey: '' });
    }
  });

  test('unknown paths are 404, wrong methods 405, broken encoding 400, each M_UNRECOGNIZED or M_INVALID_PARAM', async () => {
    const app = appWith([send]);
    const unknown = await app.inject({ url: '/_matrix/client/v3/nothing' });
    expect([unknown.statusCode, unknown.json().errcode]).toEqual([404, 'M_UNRECOGNIZED']);
    for (const method of ['GET', 'POST', 'DELETE', 'PATCH'] as const) {
      const wrong = await app.inject({ method, url: SEND_URL });
      expect([method, wrong.statusCode, wrong.json().errcode]).toEqual([method, 405, 'M_UNRECOGNIZED']);
      expect(wrong.headers.allow).toBe('PUT, OPTIONS');
    }
    const withBody = await app.inject({
      method: 'POST',
      url: '/_matrix/client/v3/nothing',
      headers: { 'content-type': 'application/json' },
      payload: '{"half',
    });
    expect([withBody.statusCode, withBody.json().errcode]).toEqual([404, 'M_UNRECOGNIZED']);
    const broken = await app.inject({ method: 'PUT', url: SEND_URL.replace('!r', '%ff') });
    expect([broken.statusCode, broken.json().errcode]).toEqual([400, 'M_INVALID_PARAM']);
    expect(broken.headers['access-control-allow-origin']).toBe('*');
    const long = await app.inject({ method: 'PUT', url: SEND_URL.replace('!r', 'r'.repeat(5000)) });
    expect([long.statusCode, long.json().errcode]).toEqual([400, 'M_INVALID_PARAM']);
  });

  test('two methods of one path with differently named parameters are one path', async () => {
    const get = endpoint({
      method: 'GET',
      path: '/_matrix/client/v3/rooms/{room}/send/{type}/{id}',
      auth: 'none',
      rateLimit: 'none',
      handler: ({ params }) => params,
    });
    const app = appWith([send, get]);
    expect((await app.inject({ url: SEND_URL })).json()).toEqual({ room: '!r:test', type: 'm.x', id: '1' });
    expect((await app.inject({ method: 'POST', url: SEND_URL })).statusCode).toBe(405);
  });
});

describe('browsers', () => {
  test('every answer has the CORS headers, and OPTIONS runs no handler', async () => {
    const app = appWith([send]);
    const preflight = await app.inject({ method: 'OPTIONS', url: SEND_URL });
    const elsewhere = await app.inject({ method: 'OPTIONS', url: '/_matrix/client/v3/nothing' });
    const refused = await app.inject({ method: 'PUT', url: SEND_URL });
    const unknown = await app.inject({ url: '/nothing' });
    expect([preflight.statusCode, elsewhere.statusCode]).toEqual([200, 200]);
    for (const answer of [preflight, elsewhere, refused, unknown]) {
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'GET, POST, PUT, DELETE, OPTIONS',
        'access-control-allow-headers': 'X-Requested-With, Content-Type, Authorization, X-Stele-Reason, X-Stele-Case',
      });
    }
  });

  test('HEAD answers as GET without a body', async () => {
    const hello = endpoint({
      method: 'GET',
      path: '/hello',
      auth: 'none',
      rateLimit: 'none',
      handler: () => ({ a: 1 }),
    });
    const answer = await appWith([hello]).inject({ method: 'HEAD', url: '/hello' });
    expect([answer.statusCode, answer.body, answer.headers['content-length']]).toEqual([200, '', '7']);
  });
});

describe('bodies', () => {
  test.each([
    ['JSON', { 'content-type': 'application/json' }],
    ['no type', {}],
    ['a wrong type', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a type that is none', { 'content-type': ';;;' }],
  ])('JSON is read when it says it is %s', async (_name, headers) => {
    const answer = await put(appWith([send]), '{"a":1}', headers as Record<string, string>);
    expect([answer.statusCode, answer.json().body]).toEqual([200, { a: 1 }]);
  });

  test.each([
    ['nothing', '', 'M_NOT_JSON'],
    ['half an object', '{"a":', 'M_NOT_JSON'],
    ['words', 'hello', 'M_NOT_JSON'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'M_NOT_JSON'],
    ['a list', '[]', 'M_BAD_JSON'],
    ['null', 'null', 'M_BAD_JSON'],
    ['half of a surrogate pair in a value', '{"a":[{"b":"x\\ud83d y"}]}', 'M_BAD_JSON'],
    ['half of a surrogate pair in a name', '{"\\\\\\uDE00":1}', 'M_BAD_JSON'],
    ['a nesting bomb', '{"a":'.repeat(100_000), 'M_BAD_JSON'],
  ])('%s is refused', async (_name, payload, errcode) => {
    const answer = await put(appWith([send]), payload);
    expect([answer.statusCode, answer.json().errcode]).toEqual([400, errcode]);
  });

  test('whole surrogate pairs are read, and so is what only looks like a half', async () => {
    const answer = await put(appWith([send]), '{"a":"\\ud83d\\uDE00","b":"\\\\ud83d","c":"\\\\\\\\ud83d"}');
    expect([answer.statusCode, answer.json().body]).toEqual([200, { a: '😀', b: '\\ud83d', c: '\\\\ud83d' }]);
  });

  test('a body over the limit is M_TOO_LARGE, whether it says its length or not', async () => {
    const app = appWith([send]);
    const told = await put(app, `{"a":"${'x'.repeat(1024 * 1024)}"}`);
    expect([told.statusCode, told.json().errcode]).toEqual([413, 'M_TOO_LARGE']);
    const untold = await app.inject({
      method: 'PUT',
      url: SEND_URL,
      headers: { ...bearer('alice'), 'transfer-encoding': 'chunked' },
      payload: Readable.from(Array.from({ length: 20 }, () => Buffer.alloc(100_000, 0x20))),
    });
    expect([untold.statusCode, untold.json().errcode]).toEqual([413, 'M_TOO_LARGE']);
  });

  const login = endpoint({
    method: 'POST',
    path: '/login',
    auth: 'none',
    rateLimit: 'login',
    body: z.object({ type: z.string(), count: z.number().optional(), user: z.object({ name: z.string() }).optional() }),
    handler: ({ body }) => body,
  });

  test.each([
    ['', 'M_MISSING_PARAM', 'type'],
    ['{}', 'M_MISSING_PARAM', 'type'],
    ['{"type":"x","user":{}}', 'M_MISSING_PARAM', 'user.name'],
    ['{"type":1}', 'M_BAD_JSON', 'type'],
    ['{"type":null}', 'M_BAD_JSON', 'type'],
    ['{"type":"x","count":"1"}', 'M_BAD_JSON', 'count'],
  ])('%s does not fit a schema', async (payload, errcode, name) => {
    const answer = await appWith([login]).inject({ method: 'POST', url: '/login', payload });
    expect([answer.statusCode, answer.json().errcode]).toEqual([400, errcode]);
    expect(answer.json().error).toContain(name);
  });

  test('null is as good as absent for what may be absent, and no further down', async () => {
    const call = (payload: string) => appWith([login]).inject({ method: 'POST', url: '/login', payload });
    expect((await call('{"type":"x","count":null,"user":null}')).json()).toEqual({ type: 'x' });
    expect((await call('{"type":null,"count":null}')).json().errcode).toBe('M_BAD_JSON');
    expect((await call('{"type":"x","user":{"name":null}}')).json().errcode).toBe('M_BAD_JSON');
    expect((await call('{"type":1,"count":null}')).json().errcode).toBe('M_BAD_JSON');
  });

  test('an endpoint without a body does not look at one', async () => {
    const logout = endpoint({ method: 'POST', path: '/logout', auth: 'none', rateLimit: 'none', handler: () => ({}) });
    const app = appWith([logout]);
    for (const payload of ['', 'not json', '{}']) {
      expect((await app.inject({ method: 'POST', url: '/logout', payload })).statusCode).toBe(200);
    }
  });

  test('a stream is read by the handler, with its type', async () => {
    const upload = endpoint({
      method: 'POST',
      path: '/upload',
      auth: 'none',
      rateLimit: 'media',
      body: 'stream',
      handler: async ({ body, header }) => {
        let sizeBytes = 0;
        for await (const chunk of body) sizeBytes += (chunk as Buffer).length;
        return { sizeBytes, type: header('content-type') };
      },
    });
    const answer = await appWith([upload]).inject({
      method: 'POST',
      url: '/upload',
      headers: { 'content-type': 'image/png' },
      payload: Buffer.alloc(3_000_000),
    });
    expect(answer.json()).toEqual({ sizeBytes: 3_000_000, type: 'image/png' });
  });
});

describe('queries', () => {
  const messages = endpoint({
    method: 'GET',
    path: '/messages',
    auth: 'none',
    rateLimit: 'none',
    query: z.object({ limit: queryInteger({ cap: 100 }).default(10), full: queryFlag().optional() }),
    handler: ({ query }) => query,
  });

  test.each([
    ['', 200, { limit: 10 }],
    ['?limit=7&full=true&other=1', 200, { limit: 7, full: true }],
    ['?limit=1000', 200, { limit: 100 }],
    ['?limit=5&limit=6', 200, { limit: 5 }],
    ['?limit=-1', 400, { errcode: 'M_INVALID_PARAM' }],
    ['?limit=ten', 400, { errcode: 'M_INVALID_PARAM' }],
    ['?full=yes', 400, { errcode: 'M_INVALID_PARAM' }],
  ])('%s', async (query, status, body) => {
    const answer = await appWith([messages]).inject({ url: `/messages${query}` });
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toMatchObject(body);
  });
});

describe('who may call', () => {
  const as = (auth: 'user' | 'guest' | 'optional' | 'none') =>
    endpoint({
      method: 'GET',
      path: `/${auth}`,
      auth,
      rateLimit: 'none',
      handler: ({ requester }) => ({ user: requester?.userId ?? null }),
    });
  const forAdmins = endpoint({
    method: 'GET',
    path: '/admin',
    auth: 'admin',
    may: 'users.read',
    audit: { action: 'user.read' },
    rateLimit: 'none',
    handler: ({ requester }) => ({ user: requester.userId, role: standingOf(requester).role }),
  });
  const guard: Guard = {
    admit: ({ isAdmin }) => (isAdmin ? undefined : Promise.reject(forbidden())),
    enter: async ({ request: { requester } }) => ({
      requester: requester && { ...requester, standing: ADMINISTRATOR },
      failed: async () => {},
    }),
  };
  const app = () => appWith([as('user'), as('guest'), forAdmins, as('optional'), as('none')], { guard });

  test.each([
    ['/user', 'alice', 200, '@alice:test'],
    ['/user', 'guest', 403, 'M_GUEST_ACCESS_FORBIDDEN'],
    ['/user', undefined, 401, 'M_MISSING_TOKEN'],
    ['/user', 'wrong', 401, 'M_UNKNOWN_TOKEN'],
    ['/guest', 'guest', 200, '@1:test'],
    ['/admin', 'alice', 403, 'M_FORBIDDEN'],
    ['/admin', 'admin', 200, '@root:test'],
    ['/optional', undefined, 200, null],
    ['/optional', 'alice', 200, '@alice:test'],
    ['/optional', 'wrong', 401, 'M_UNKNOWN_TOKEN'],
    ['/none', 'wrong', 200, null],
  ])('%s as %s is %d %s', async (url, token, status, said) => {
    const instance = app();
    const inHeader = await instance.inject({ url, headers: token === undefined ? {} : bearer(token) });
    const inQuery = await instance.inject({ url, query: token === undefined ? {} : { access_token: token } });
    for (const answer of [inHeader, inQuery]) {
      expect(answer.statusCode).toBe(status);
      expect(answer.json().errcode ?? answer.json().user).toBe(said);
    }
  });

  test('soft logout is passed on, and an asynchronous check works', async () => {
    const instance = appWith([as('user')], { authenticate: async (token) => authenticate(token) });
    const soft = await instance.inject({ url: '/user', headers: bearer('soft') });
    expect(soft.json()).toMatchObject({ errcode: 'M_UNKNOWN_TOKEN', soft_logout: true });
    expect((await instance.inject({ url: '/user', headers: { authorization: 'bearer alice' } })).statusCode).toBe(200);
  });
});

describe('what is on record', () => {
  const events: string[] = [];
  const guard: Guard = {
    admit: () => undefined,
    enter: async ({ endpoint: { path }, audit, described, json, request: { requester } }) => {
      events.push(`${path} ${audit.action} ${JSON.stringify({ described, json })}`);
      if (described?.after === 'unwritable') throw unavailable('not now');
      return {
        requester,
        failed: async (error) => {
          events.push(`failed: ${String(error)}`);
        },
      };
    },
  };
  const rename = endpoint({
    method: 'PUT',
    path: '/name/{userId}',
    auth: 'none',
    rateLimit: 'none',
    body: z.object({ name: z.string() }),
    audit: {
      action: 'user.modify',
      describe: ({ params, body: { name } }, context: { readonly who?: string }) => {
        if (params.userId === 'me') return null;
        if (params.userId === 'none') throw forbidden('nobody');
        return { before: context.who, after: name };
      },
    },
    handler: ({ body: { name } }) => {
      events.push(`renamed to ${name}`);
      if (name === 'bad') throw forbidden('bad name');
      return {};
    },
  });
  const put = async (user: string, payload: object): Promise<number> => {
    events.length = 0;
    const app = appWith([rename], { guard });
    return (await app.inject({ method: 'PUT', url: `/name/${user}`, payload })).statusCode;
  };

  test('is so before the handler runs, with the body as it was sent', async () => {
    expect(await put('bob', { name: 'rob', reason: 'asked' })).toBe(200);
    const [recorded, done] = events;
    expect(recorded).toBe(
      '/name/{userId} user.modify {"described":{"after":"rob"},"json":{"name":"rob","reason":"asked"}}',
    );
    expect(done).toBe('renamed to rob');
  });

  test('keeps the handler from running where it cannot be', async () => {
    expect(await put('bob', { name: 'unwritable' })).toBe(503);
    expect(events).toHaveLength(1);
  });

  test('says so when the handler fails', async () => {
    expect(await put('bob', { name: 'bad' })).toBe(403);
    expect(events).toEqual([expect.any(String), 'renamed to bad', 'failed: MatrixError: bad name']);
  });

  test('is not asked for what need not be answered for, or makes no sense', async () => {
    expect([await put('me', { name: 'rob' }), events]).toEqual([200, ['renamed to rob']]);
    expect([await put('none', { name: 'rob' }), events]).toEqual([403, []]);
    expect([await put('bob', {}), events]).toEqual([400, []]);
  });

  test('and nothing starts without somebody who sees to it', async () => {
    await expect(appWith([rename]).ready()).rejects.toThrow('nothing sees to it');
    const unnamed = { ...rename, audit: undefined, auth: 'admin' } as const;
    await expect(appWith([unnamed as never], { guard }).ready()).rejects.toThrow('capability');
  });
});

describe('errors of handlers', () => {
  const failing = (error: unknown) =>
    endpoint({
      method: 'GET',
      path: '/fail',
      auth: 'none',
      rateLimit: 'none',
      handler: async () => {
        throw error;
      },
    });

  test.each([
    [forbidden('No.'), 403, { errcode: 'M_FORBIDDEN', error: 'No.' }],
    [
      new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', undefined, { extra: { room_version: '9' } }),
      400,
      { room_version: '9' },
    ],
    [new NotWritten('the disk is full'), 503, { errcode: 'M_UNKNOWN' }],
    [new OutcomeUnknown('who knows'), 503, { errcode: 'M_UNKNOWN' }],
    [new TypeError('secret detail'), 500, { errcode: 'M_UNKNOWN', error: 'Something went wrong in the server.' }],
    ['a string', 500, { errcode: 'M_UNKNOWN' }],
  ])('%s', async (error, status, body) => {
    const answer = await appWith([failing(error)]).inject({ url: '/fail' });
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toMatchObject(body);
    expect(answer.body).not.toContain('secret detail');
    expect(answer.body).not.toContain('.ts:');
  });

  test('faults are logged with their request, refusals are not', async () => {
    const lines: string[] = [];
    const log = logTo({ write: (line) => lines.push(line) });
    await appWith([failing(new TypeError('boom'))], { log }).inject({ url: '/fail' });
    await appWith([failing(forbidden())], { log }).inject({ url: '/fail' });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'error',
      err: { message: 'boom' },
      request: expect.any(String),
    });
  });
});

test('answers made by hand keep status, headers and body', async () => {
  const raw = endpoint({
    method: 'GET',
    path: '/raw',
    auth: 'none',
    rateLimit: 'none',
    handler: () =>
      new RawAnswer({
        status: 202,
        headers: { 'content-type': 'image/png' },
        body: Readable.from([Buffer.from('ab'), Buffer.from('c')]),
      }),
  });
  const answer = await appWith([raw]).inject({ url: '/raw' });
  expect([answer.statusCode, answer.headers['content-type'], answer.body]).toEqual([202, 'image/png', 'abc']);
});

test('a stream that fails before its first byte is an error, later it breaks the connection', async () => {
  const broken = (path: string, chunks: string[]) =>
    endpoint({
      method: 'GET',
      path,
      auth: 'none',
      rateLimit: 'none',
      handler: () => {
        const body = Readable.from(
          (async function* () {
            yield* chunks;
            throw new Error('the disk is gone');
          })(),
        );
        return new RawAnswer({ headers: { 'content-type': 'image/png' }, body });
      },
    });
  const app = appWith([broken('/early', []), broken('/late', ['some bytes'])]);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const early = await fetch(`${url}/early`);
  expect([early.status, early.headers.get('content-type')]).toEqual([500, 'application/json']);
  await expect(fetch(`${url}/late`).then((answer) => answer.text())).rejects.toThrow();
});

test('a listener leaves files for the log, however many connect', () => {
  expect(appWith([]).server.maxConnections).toBe(MAX_CONNECTIONS);
});

test('too many requests are asked to wait', async () => {
  const app = appWith([send], { limiter: new RateLimiter({ now: () => 0 }) });
  let answer = await put(app, '{}');
  while (answer.statusCode === 200) answer = await put(app, '{}');
  expect(answer.statusCode).toBe(429);
  expect(answer.json()).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 100 });
  expect(answer.headers['retry-after']).toBe('1');
});

describe('over a socket', () => {
  async function listen(app: FastifyInstance): Promise<number> {
    await app.listen({ port: 0, host: '127.0.0.1' });
    return (app.server.address() as AddressInfo).port;
  }

  test('the signal fires when the client goes away, and the end is reported as 499', async () => {
    const started = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const reported = Promise.withResolvers<Answered>();
    const poll = endpoint({
      method: 'GET',
      path: '/poll/{id}',
      auth: 'user',
      rateLimit: 'none',
      handler: async ({ signal }) => {
        started.resolve();
        await once(signal, 'abort');
        gone.resolve();
        return {};
      },
    });
    const app = appWith([poll], { onAnswered: reported.resolve });
    const socket = connect(await listen(app), '127.0.0.1');
    socket.write('GET /poll/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n');
    await started.promise;
    socket.destroy();
    await gone.promise;
    expect(await reported.promise).toMatchObject({
      route: '/poll/{id}',
      method: 'GET',
      status: 499,
      userId: '@alice:test',
    });
  });

  test('what is not HTTP gets an answer that Matrix clients can read', async () => {
    const socket = connect(await listen(appWith([])), '127.0.0.1');
    socket.end('hello\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"errcode":"M_UNKNOWN"');
  });
});
