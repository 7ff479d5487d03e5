/** Which listener answers whom. */
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ListenerConfig } from '#src/config/schema.ts';
import { endpointsFor } from '#src/endpoints.ts';
import { type HttpServer, startHttpServer } from '#src/http/server.ts';
import { silentLog } from '#src/log/logger.ts';
import { startApplication, type TestApplication } from '#test/support/application.ts';
import { TEST_CA, TLS_PATHS } from '#test/support/tls-peer.ts';

const listener = { bind: '127.0.0.1', port: 0, trusted_proxies: [] };
const listeners: ListenerConfig[] = [
  { ...listener, serves: ['client'], tls: null },
  { ...listener, serves: ['federation'], tls: { cert: TLS_PATHS.cert, key: TLS_PATHS.key } },
];

let app: TestApplication;
let server: HttpServer;
let agent: Agent;

beforeAll(async () => {
  app = await startApplication();
  server = await startHttpServer({
    listeners,
    endpoints: endpointsFor(app.context.config),
    context: app.context,
    authenticate: app.context.accounts.authenticate,
    authenticateServer: app.context.federation.authentication,
    guard: app.guard,
    log: silentLog(),
    readiness: () => ({ ready: true }),
  });
  agent = new Agent({ connect: { ca: TEST_CA, servername: 'one.test' } });
});
afterAll(async () => {
  await agent.close();
  await server.stop();
  await app.close();
});

async function ask(index: number, path: string): Promise<[status: number, errcode: unknown]> {
  const { statusCode, body } = await request(`${server.addresses[index]?.url}${path}`, { dispatcher: agent });
  const answer = (await body.json()) as Record<string, unknown>;
  return [statusCode, answer['errcode']];
}

it('one for clients knows nothing of federation', async () => {
  expect(await ask(0, '/_matrix/client/versions')).toEqual([200, undefined]);
  expect(await ask(0, '/_matrix/key/v2/server')).toEqual([404, 'M_UNRECOGNIZED']);
  expect(await ask(0, '/_matrix/federation/v1/version')).toEqual([404, 'M_UNRECOGNIZED']);
  expect(await ask(0, '/_matrix/federation/v1/publicRooms')).toEqual([404, 'M_UNRECOGNIZED']);
});

it('one for servers answers them, with its certificate, and knows nothing of clients', async () => {
  expect(server.addresses[1]?.url).toMatch(/^https:/);
  expect(await ask(1, '/_matrix/key/v2/server')).toEqual([200, undefined]);
  expect(await ask(1, '/_matrix/federation/v1/version')).toEqual([200, undefined]);
  expect(await ask(1, '/_matrix/federation/v1/publicRooms')).toEqual([401, 'M_UNAUTHORIZED']);
  expect(await ask(1, '/_matrix/client/versions')).toEqual([404, 'M_UNRECOGNIZED']);
  expect(await ask(1, '/_stele/health')).toEqual([404, 'M_UNRECOGNIZED']);
});

it('says so where a path is known and the method is not', async () => {
  const { statusCode, headers, body } = await request(`${server.addresses[1]?.url}/_matrix/key/v2/server`, {
    dispatcher: agent,
    method: 'DELETE',
  });
  await body.dump();
  expect([statusCode, headers['allow']]).toEqual([405, 'GET, OPTIONS']);
});
