/**
 * Notifications through a gateway of UnifiedPush: the pushkey is the address at which the push server of the user takes messages, the
 * gateway forwards what it is given there, and says of addresses that are gone that they are rejected.
 * https://unifiedpush.org/developers/gateway/
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request as forward } from 'undici';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { safeConnector } from '#src/net/safe-connector.ts';
import { type Gateway, type GatewayAnswer, HttpGateway } from '#src/push/sender/gateway.ts';
import { createRoom, sayIn } from '#test/client-api/sync-client.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { startTlsPeer, TEST_CA, type TlsPeer } from '#test/support/tls-peer.ts';

/** The most that a push server has to take. https://unifiedpush.org/developers/spec/server/ */
const MAX_MESSAGE_BYTES = 4096;

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;
let peer: TlsPeer;
let room: string;
/** What push servers took, by their paths. */
const messages = new Map<string, string[]>();
/** Addresses that were given up by whoever had them. */
const gone = new Set<string>();
/** Each attempt to hand a notification over. */
const attempts: Promise<GatewayAnswer>[] = [];
const agents: Agent[] = [];

function agent(allowPrivate: boolean): Agent {
  const made = new Agent({ connect: safeConnector({ allowPrivate, ca: TEST_CA }) });
  agents.push(made);
  return made;
}

/** A gateway and the push servers behind it are one server here. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const at = request.url ?? '';
  if (at === '/_matrix/push/v1/notify') {
    if (request.method === 'GET') return void response.end('{"unifiedpush":{"gateway":"matrix"}}');
    const { notification } = JSON.parse(body) as { notification: { devices: { pushkey: string }[] } };
    const rejected: string[] = [];
    for (const { pushkey } of notification.devices) {
      const target = URL.parse(pushkey);
      const { statusCode, body: answer } =
        target === null
          ? { statusCode: 404, body: undefined }
          : await forward(target, { method: 'POST', body, dispatcher: agent(true) });
      await answer?.dump();
      if (statusCode === 404 || statusCode === 410) rejected.push(pushkey);
    }
    return void response.end(JSON.stringify({ rejected }));
  }
  const isTaken = !gone.has(at) && Buffer.byteLength(body) <= MAX_MESSAGE_BYTES;
  if (isTaken) messages.set(at, [...(messages.get(at) ?? []), body]);
  response.writeHead(isTaken ? 201 : gone.has(at) ? 404 : 413).end();
}

async function start(allowPrivate: boolean): Promise<void> {
  const over = new HttpGateway(() => agent(allowPrivate));
  const pushGateway: Gateway = {
    notify: (url, bodyJson, until) => {
      const attempt = over.notify(url, bodyJson, until);
      attempt.catch(() => undefined);
      attempts.push(attempt);
      return attempt;
    },
  };
  app = await startApplication({}, { pushGateway });
  [alice, bob] = [await app.register('alice'), await app.register('bob')];
  room = await createRoom(alice, { preset: 'public_chat' });
  await bob.ok('POST', `/join/${room}`);
}

beforeEach(async () => {
  peer = await startTlsPeer((request, response) => void serve(request, response));
});
afterEach(async () => {
  await app.close();
  for (const one of agents.splice(0)) await one.destroy();
  await peer.close();
  messages.clear();
  gone.clear();
  attempts.length = 0;
});

const pushkeyAt = (at: string): string => `https://localhost:${peer.port}${at}`;

/** As Element on Android and SchildiChat do it. */
async function register(at: string): Promise<void> {
  const url = `https://localhost:${peer.port}/_matrix/push/v1/notify`;
  const found = await forward(url, { dispatcher: agent(true) });
  expect(await found.body.json()).toEqual({ unifiedpush: { gateway: 'matrix' } });
  await bob.ok('POST', '/pushers/set', {
    app_id: 'im.vector.app.android',
    pushkey: pushkeyAt(at),
    kind: 'http',
    app_display_name: 'Element',
    device_display_name: 'Phone',
    lang: 'en',
    profile_tag: `mobile_${createHash('md5').update(bob.userId).digest('hex')}`,
    append: false,
    data: { url, format: 'event_id_only' },
  });
}

/** Waits until there have been so many attempts, and the last has ended. */
async function attempt(count: number): Promise<PromiseSettledResult<GatewayAnswer>> {
  while (attempts.length < count) await new Promise((resolve) => setImmediate(resolve));
  const [outcome] = await Promise.allSettled([attempts[count - 1]]);
  if (outcome?.status === 'fulfilled' && outcome.value === undefined) throw new Error('there was no attempt');
  return outcome as PromiseSettledResult<GatewayAnswer>;
}

async function pushkeys(): Promise<unknown[]> {
  const { pushers } = await bob.ok('GET', '/pushers');
  return (pushers as unknown as { pushkey: string }[]).map(({ pushkey }) => pushkey);
}

it('a message gets to the push server as the gateway was given it, and is small enough for any', async () => {
  await start(true);
  await register('/upTOPIC?up=1');
  const event = await sayIn(alice, room, 'x'.repeat(10_000));
  expect(await attempt(1)).toMatchObject({ value: { rejected: [] } });
  const [message = ''] = messages.get('/upTOPIC?up=1') ?? [];
  expect(JSON.parse(message)).toEqual({
    notification: {
      event_id: event,
      room_id: room,
      prio: 'high',
      counts: { unread: 1 },
      devices: [
        {
          app_id: 'im.vector.app.android',
          pushkey: pushkeyAt('/upTOPIC?up=1'),
          pushkey_ts: expect.any(Number),
          data: { format: 'event_id_only' },
          tweaks: {},
        },
      ],
    },
  });
  expect(await pushkeys()).toEqual([pushkeyAt('/upTOPIC?up=1')]);
});

it('an address that is gone is forgotten, and the one that takes its place is used', async () => {
  await start(true);
  await register('/old');
  gone.add('/old');
  await sayIn(alice, room, 'one');
  expect(await attempt(1)).toMatchObject({ value: { rejected: [pushkeyAt('/old')] } });
  while ((await pushkeys()).length > 0) await new Promise((resolve) => setImmediate(resolve));
  await register('/new');
  const event = await sayIn(alice, room, 'two');
  await attempt(2);
  expect(JSON.parse(messages.get('/new')?.[0] ?? '{}')).toMatchObject({ notification: { event_id: event } });
  expect(peer.requests.filter((one) => one.endsWith('/old'))).toHaveLength(1);
});

it('a gateway inside the network of the server is spoken to only where the settings allow it', async () => {
  await start(false);
  await register('/inside');
  const connections = peer.connections;
  await sayIn(alice, room, 'one');
  expect(await attempt(1)).toMatchObject({ status: 'rejected', reason: { name: 'GatewayFailed' } });
  expect(peer.connections).toBe(connections);
  // It may be allowed later: the pusher stays.
  expect(await pushkeys()).toEqual([pushkeyAt('/inside')]);
});
