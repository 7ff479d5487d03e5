import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import type { ListenerConfig } from '#src/config/schema.ts';
import { logTo, silentLog } from '#src/log/logger.ts';
import { endpoint } from './endpoint.ts';
import type { Readiness } from './ops-endpoints.ts';
import { type HttpServer, type HttpServerOptions, ListenError, startHttpServer } from './server.ts';

const LISTENER: ListenerConfig = {
  bind: '127.0.0.1',
  port: 0,
  serves: ['client', 'federation', 'ops'],
  tls: null,
  trusted_proxies: [],
};

const running: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop(0)));
});

async function start(options: Partial<HttpServerOptions<object>>): Promise<{ server: HttpServer; url: string }> {
  const server = await startHttpServer<object>({
    listeners: [LISTENER],
    endpoints: [],
    context: {},
    authenticate: () => ({ userId: '@a:test', deviceId: 'D', tokenId: 't', isGuest: false, isAdmin: false }),
    log: silentLog(),
    readiness: () => ({ ready: true }),
    ...options,
  });
  running.push(server);
  return { server, url: server.addresses[0]?.url ?? '' };
}

const versions = endpoint({
  method: 'GET',
  path: '/_matrix/client/versions',
  auth: 'none',
  rateLimit: 'none',
  handler: ({ ip }) => ({ versions: [], ip }),
});

describe('listeners', () => {
  test('each answers what it serves, and nothing else', async () => {
    const key = endpoint({
      method: 'GET',
      path: '/_matrix/key/v2/server',
      auth: 'none',
      rateLimit: 'none',
      handler: () => ({}),
    });
    const { server } = await start({
      listeners: [
        { ...LISTENER, serves: ['client'] },
        { ...LISTENER, serves: ['federation', 'ops'] },
      ],
      endpoints: [versions, key],
    });
    const status = async (index: number, path: string): Promise<number> =>
      (await fetch(`${server.addresses[index]?.url}${path}`)).status;
    expect(await status(0, '/_matrix/client/versions')).toBe(200);
    expect(await status(0, '/_matrix/key/v2/server')).toBe(404);
    expect(await status(0, '/_stele/health')).toBe(404);
    expect(await status(1, '/_matrix/client/versions')).toBe(404);
    expect(await status(1, '/_matrix/key/v2/server')).toBe(200);
    expect(await status(1, '/_stele/health')).toBe(200);
  });

  test('TLS', async () => {
    const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
    const tls = { cert: fixture('localhost.crt'), key: fixture('localhost.key') };
    const { url } = await start({ listeners: [{ ...LISTENER, tls }], endpoints: [versions] });
    const request = httpsRequest(`${url}/_matrix/client/versions`, { ca: await readFile(tls.cert) }).end();
    const [response] = await once(request, 'response');
    response.resume();
    expect(response.statusCode).toBe(200);
  });

  test('a port that is taken and a missing certificate are said plainly', async () => {
    const { server } = await start({});
    const port = server.addresses[0]?.port ?? 0;
    const second = start({ listeners: [{ ...LISTENER }, { ...LISTENER, port }] });
    await expect(second).rejects.toThrow(`Cannot listen on 127.0.0.1:${port}: something listens there already`);
    await expect(second).rejects.toBeInstanceOf(ListenError);
    const tls = { cert: '/nowhere/a.crt', key: '/nowhere/a.key' };
    await expect(start({ listeners: [{ ...LISTENER, tls }] })).rejects.toThrow('The TLS certificate /nowhere/a.crt');
  });

  test('only a trusted proxy says where a request comes from', async () => {
    const forwarded = { headers: { 'x-forwarded-for': '203.0.113.9' } };
    const plain = await start({ endpoints: [versions] });
    const path = '/_matrix/client/versions';
    expect(await (await fetch(plain.url + path, forwarded)).json()).toMatchObject({ ip: '127.0.0.1' });
    const proxied = await start({
      endpoints: [versions],
      listeners: [{ ...LISTENER, trusted_proxies: ['127.0.0.0/8'] }],
    });
    expect(await (await fetch(proxied.url + path, forwarded)).json()).toMatchObject({ ip: '203.0.113.9' });
  });
});

describe('what operators ask', () => {
  test('readiness follows the application', async () => {
    let state: Readiness = { ready: false, reason: 'Projections are catching up.' };
    const { url } = await start({ readiness: () => state });
    const waiting = await fetch(`${url}/_stele/ready`);
    expect([waiting.status, await waiting.json()]).toEqual([
      503,
      { status: 'not ready', reason: 'Projections are catching up.' },
    ]);
    state = { ready: true };
    expect((await fetch(`${url}/_stele/ready`)).status).toBe(200);
  });

  test('metrics count requests by route', async () => {
    const { url } = await start({ endpoints: [versions] });
    await fetch(`${url}/_matrix/client/versions`);
    const text = await (await fetch(`${url}/_stele/metrics`)).text();
    expect(text).toContain(
      'stele_http_request_duration_seconds_count{method="GET",route="/_matrix/client/versions",status="200"} 1',
    );
    expect(text).toContain('process_resident_memory_bytes');
  });

  test('the log has a line for each request, without its query, token or ids', async () => {
    const lines: string[] = [];
    const whoami = endpoint({
      method: 'GET',
      path: '/_matrix/client/v3/rooms/{roomId}/state',
      auth: 'user',
      rateLimit: 'none',
      handler: () => ({}),
    });
    const { url, server } = await start({ endpoints: [whoami], log: logTo({ write: (line) => lines.push(line) }) });
    await fetch(`${url}/_matrix/client/v3/rooms/!secret-room/state?access_token=secret-token&filter=secret-query`);
    await fetch(`${url}/_matrix/client/v3/rooms/!secret-room/state`, { headers: { authorization: 'Bearer secret' } });
    await server.stop();
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).not.toContain('secret');
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'info',
      time: expect.any(String),
      request: expect.any(String),
      method: 'GET',
      route: '/_matrix/client/v3/rooms/{roomId}/state',
      status: 200,
      ms: expect.any(Number),
      user: '@a:test',
      msg: 'request',
    });
  });
});

test('requests that no endpoint answers are in the log too, browsers asking ahead only in detail', async () => {
  const lines: string[] = [];
  const { url, server } = await start({ endpoints: [versions], log: logTo({ write: (line) => lines.push(line) }) });
  await fetch(`${url}/_matrix/client/v9/nothing?access_token=secret`);
  await fetch(`${url}/_matrix/client/versions`, { method: 'POST' });
  await fetch(`${url}/_matrix/client/versions`, { method: 'OPTIONS' });
  await server.stop();
  expect(lines.map((line) => JSON.parse(line)).map(({ status, route, path }) => [status, route, path])).toEqual([
    [404, 'unknown', '/_matrix/client/v9/nothing'],
    [405, 'unknown', '/_matrix/client/versions'],
  ]);
});

describe('stopping', () => {
  const poll = (started: () => void) =>
    endpoint({
      method: 'GET',
      path: '/_matrix/client/v3/sync',
      auth: 'none',
      rateLimit: 'none',
      handler: async ({ closing, signal }) => {
        started();
        await Promise.race([once(closing, 'abort'), once(signal, 'abort')]);
        return { next_batch: 's1' };
      },
    });

  test('long polls are answered, then the server is gone', async () => {
    const started = Promise.withResolvers<void>();
    const { server, url } = await start({ endpoints: [poll(started.resolve)] });
    const answer = fetch(`${url}/_matrix/client/v3/sync`);
    await started.promise;
    await Promise.all([server.stop(), server.stop()]);
    expect(await (await answer).json()).toEqual({ next_batch: 's1' });
    await expect(fetch(`${url}/_stele/health`)).rejects.toThrow();
  });

  test('what does not end in time is cut off', async () => {
    const started = Promise.withResolvers<void>();
    const stuck = endpoint({
      method: 'GET',
      path: '/_matrix/client/v3/sync',
      auth: 'none',
      rateLimit: 'none',
      handler: async ({ signal }) => {
        started.resolve();
        await once(signal, 'abort');
        return {};
      },
    });
    const { server, url } = await start({ endpoints: [stuck] });
    const answer = fetch(`${url}/_matrix/client/v3/sync`);
    await started.promise;
    await Promise.all([expect(answer).rejects.toThrow(), server.stop(10)]);
  });
});
