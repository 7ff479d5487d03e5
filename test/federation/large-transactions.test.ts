/** Transactions that are larger than anything else, from servers that are who they say, and from others. */
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { canonicalJson } from '#protocol/canonical-json.ts';
import type { JsonObject } from '#protocol/pdu.ts';
import { REWRITE_BURST, REWRITE_INTERVAL_MS } from '#src/federation/server-authentication.ts';
import { authorize } from '#src/federation/signed-request.ts';
import { sync } from '#test/client-api/sync-client.ts';
import type { TestClient } from '#test/support/application.ts';
import { type TestNetwork, type TestServer, testSigningKey } from '#test/support/federation.ts';
import { TEST_CA } from '#test/support/tls-peer.ts';
import { TwoServers } from './two-in-a-room.ts';

let servers: TwoServers;
let network: TestNetwork;
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let serial = 0;

beforeAll(async () => {
  servers = await TwoServers.start();
  ({ network, one, two } = servers);
  ({ alice, bob } = await servers.meet());
});
afterAll(() => servers.close());

const toDevice = (id: string, padding: object): JsonObject =>
  ({
    edu_type: 'm.direct_to_device',
    content: {
      sender: bob.userId,
      type: 'm.large',
      message_id: id,
      messages: { [alice.userId]: { [alice.deviceId]: { id, padding } } },
    },
  }) as unknown as JsonObject;

/** A transaction that takes long to parse: ever so many small things, in so many EDUs of 160 KB. */
function largeTransaction(ids: readonly string[], count = 10, first: JsonObject = { origin: 'two.test' }): JsonObject {
  const many = Array.from({ length: 20_000 }, () => ({ a: 1 }));
  const padding = Array.from({ length: count }, () => ({ edu_type: 'm.unknown', content: { many } }));
  return {
    ...first,
    pdus: [],
    edus: [...ids.map((id) => toDevice(id, {})), ...padding],
    origin_server_ts: 5,
  } as unknown as JsonObject;
}

async function put(payload: string, signedText = payload, key = two.signingKey) {
  serial += 1;
  const url = `/_matrix/federation/v1/send/large${serial}`;
  const parts = { method: 'PUT', uri: url, origin: 'two.test', destination: 'one.test', content: signedText };
  const { statusCode, body } = await one.http.inject({
    method: 'PUT',
    url,
    headers: { authorization: authorize(parts, key) },
    payload,
  });
  return `${statusCode} ${JSON.parse(body).errcode ?? ''}`.trim();
}

async function received(): Promise<string[]> {
  const answer = (await sync(alice)) as unknown as { to_device?: { events: { content: { id: string } }[] } };
  return (answer.to_device?.events ?? []).map(({ content }) => content.id);
}

/** The longest turn of the event loop, in milliseconds of work. */
async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  const cpuMs = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let longestMs = 0;
  let beforeMs = cpuMs();
  let look = setImmediate(function lookAgain() {
    const nowMs = cpuMs();
    longestMs = Math.max(longestMs, nowMs - beforeMs);
    beforeMs = nowMs;
    look = setImmediate(lookAgain);
  });
  await work();
  clearImmediate(look);
  return longestMs;
}

it('are taken in as they were signed, and parsed in turns', async () => {
  const text = canonicalJson(largeTransaction(['a', 'b'], 70));
  expect(text.length).toBeGreaterThan(10 * 1024 * 1024);
  const began = process.threadCpuUsage();
  JSON.parse(text);
  const atOnceMs = process.threadCpuUsage(began).user / 1000;
  const longestMs = await longestTurn(async () => expect(await put(text)).toBe('200'));
  expect(await received()).toEqual(['a', 'b']);
  // What is left in one turn, of all its bytes, is to read them as text and to hash them.
  expect(longestMs).toBeLessThan(Math.max(atOnceMs, 300));
});

it('are taken in where they were sent in another form than they were signed, but not from everybody at once', async () => {
  const transaction = largeTransaction(['c'], 10, { zebra: 1, origin: 'two.test' });
  const [sent, signed] = [JSON.stringify(transaction), canonicalJson(transaction)];
  expect(sent).not.toBe(signed);
  expect(await put(sent, signed)).toBe('200');
  expect(await received()).toEqual(['a', 'b', 'c']);
  const forged = canonicalJson(largeTransaction(['d']));
  const answers: string[] = [];
  for (let tries = 0; tries < REWRITE_BURST + 2; tries += 1) {
    answers.push(await put(forged, forged, { ...testSigningKey('other'), keyId: two.signingKey.keyId }));
  }
  expect(answers[0]).toBe('401 M_UNAUTHORIZED');
  expect(answers.at(-1)).toBe('429 M_LIMIT_EXCEEDED');
  // Whoever signed what they send is not concerned.
  expect(await put(canonicalJson(largeTransaction(['e'])))).toBe('200');
  one.advance(REWRITE_INTERVAL_MS);
  expect(await put(sent, signed)).toBe('200');
});

it.each([
  ['is no JSON', (text: string) => `${text}}`, '400 M_NOT_JSON'],
  ['breaks off', (text: string) => text.slice(0, -5), '400 M_NOT_JSON'],
  ['has half of a surrogate pair in it', (text: string) => text.replace('m.unknown', '\\ud800'), '400 M_BAD_JSON'],
  [
    'nests too deep',
    (text: string) => text.replace('"a":1', `"a":${'['.repeat(2000)}${']'.repeat(2000)}`),
    '400 M_NOT_JSON',
  ],
  ['has a list twice', (text: string) => text.replace('"pdus":[]', '"pdus":[],"pdus":[]'), '400 M_NOT_JSON'],
])('what %s is none, whoever signed it', async (_what, change, expected) => {
  expect(await put(change(canonicalJson(largeTransaction([]))))).toBe(expected);
});

it('are not read from whom nobody knows a key of', async () => {
  network.setReachable('nobody.test', false);
  const request = httpsRequest({
    host: '127.0.0.1',
    port: one.port,
    servername: 'one.test',
    ca: TEST_CA,
    method: 'PUT',
    path: '/_matrix/federation/v1/send/unread',
    headers: {
      'content-length': 15_000_000,
      authorization: 'X-Matrix origin="nobody.test",destination="one.test",key="ed25519:a",sig="AAAA"',
    },
  });
  request.on('error', () => {});
  request.flushHeaders();
  // Its body never comes.
  const [response] = await once(request, 'response');
  expect(response.statusCode).toBe(401);
  request.destroy();
});
