/** Rooms with a policy server, which a test plays once its user is in the room. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { findRoom, headOf } from '#projections/rooms/queries.ts';
import { encodeBase64 } from '#protocol/base64.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { redact } from '#protocol/redaction.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { signatureOn, signingKeyFromSeed, signJson } from '#protocol/signing.ts';
import { pduById } from '#src/federation/pdus.ts';
import { POLICY_KEY_ID } from '#src/rooms/policy.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';
import { startTlsPeer, type TlsPeer } from '#test/support/tls-peer.ts';

const VERSION = '11';
const rules = roomVersionRules(VERSION);
const network = new TestNetwork();
const key = signingKeyFromSeed(POLICY_KEY_ID, Buffer.alloc(32, 'policy'));
const otherKey = signingKeyFromSeed(POLICY_KEY_ID, Buffer.alloc(32, 'other'));
let one: TestServer;
let two: TestServer;
let three: TestServer;
let alice: TestClient;
let bob: TestClient;
let policy: TlsPeer;
let roomId: string;
let txn = 0;
let signer: typeof key | undefined;
let asked: JsonObject[];

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  three = await startServerOn(network, 'three.test');
  alice = await one.register('alice');
  bob = await two.register('bob');
  const carol = await three.register('carol');
  const made = await alice.ok('POST', '/createRoom', { preset: 'public_chat', room_version: VERSION });
  roomId = String(made['room_id']);
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
  await carol.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
  policy = await startTlsPeer((request, response) => void answer(request, response));
  network.place('three.test', policy.port);
  for (const server of [one, two]) server.advance(6 * 60_000);
  const content = { via: 'three.test', public_keys: { ed25519: encodeBase64(key.publicKey) } };
  await alice.ok('PUT', path('/state/m.room.policy'), content);
});
beforeEach(() => {
  signer = key;
  asked = [];
});
afterAll(async () => {
  for (const server of [one, two, three]) await server.close();
  await policy.close();
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = request.method === 'GET' ? {} : ((await json(request)) as JsonObject);
  if (request.url !== '/_matrix/policy/v1/sign') {
    response.end('{"pdus":{}}');
    return;
  }
  asked.push(body);
  const signed = signer && rules && signJson(redact(body as Pdu, rules), 'three.test', signer);
  response.writeHead(signed === undefined ? 400 : 200, { 'content-type': 'application/json' });
  const signature = (signed?.signatures as Record<string, Record<string, string>> | undefined)?.['three.test'];
  response.end(
    JSON.stringify(signed === undefined ? { errcode: 'M_FORBIDDEN', error: 'Spam' } : { 'three.test': signature }),
  );
}

const path = (rest: string) => `/rooms/${encodeURIComponent(roomId)}${rest}`;
const say = (who: TestClient) =>
  who.call('PUT', path(`/send/m.room.message/${++txn}`), { msgtype: 'm.text', body: 'x' });
const pduOn = (server: TestServer, eventId: string) => pduById(server.context, eventId);

/** An event as another server would send it that does not know of policy servers. */
function unsigned(): Pdu {
  const { rooms } = two.context;
  const event = { sender: bob.userId, type: 'm.room.message', content: { body: `${++txn}` } };
  return rooms.sign(rooms.draft(roomId, event), rooms.rules(roomId)).pdu;
}

const receive = (pdu: JsonObject) => {
  if (rules === undefined) throw new Error('the version is not known');
  return one.context.receiver.receive({ roomId, rules }, 'two.test', pdu);
};

it('what local users send has its signature', async () => {
  const { status, body } = await say(alice);
  expect(status).toBe(200);
  expect(asked).toHaveLength(1);
  const pdu = await pduOn(one, String(body['event_id']));
  expect(pdu && signatureOn(pdu, 'three.test', POLICY_KEY_ID)).toBeDefined();
  expect(pdu && signatureOn(pdu, 'one.test', one.signingKey.keyId)).toBeDefined();
});

it('what it has something against is not sent, and the user is told why', async () => {
  const room = findRoom(one.context.reader, roomId);
  const before = room && headOf(one.context.reader, room.id)?.extremities;
  signer = undefined;
  expect(await say(alice)).toMatchObject({ status: 400, body: { errcode: 'M_FORBIDDEN', error: 'Spam' } });
  signer = otherKey;
  expect(await say(alice)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } });
  expect(room && headOf(one.context.reader, room.id)?.extremities).toEqual(before);
});

it('what comes without its signature gets it, or is soft-failed', async () => {
  const event = unsigned();
  expect(await receive(event)).toEqual({ kind: 'accept' });
  expect(asked).toHaveLength(1);
  // It is asked once, however often the event comes.
  expect(await receive(event)).toEqual({ kind: 'accept' });
  expect(asked).toHaveLength(1);
  signer = undefined;
  expect(await receive(unsigned())).toMatchObject({ kind: 'soft_fail', step: 'policy' });
  signer = otherKey;
  expect(await receive(unsigned())).toMatchObject({ kind: 'soft_fail', step: 'policy' });
});

it('what comes with its signature is taken in without asking', async () => {
  const event = unsigned();
  if (rules === undefined) throw new Error('the version is not known');
  const signed = signJson(redact(event, rules), 'three.test', key);
  const theirs = (signed.signatures as JsonObject)['three.test'] as JsonObject;
  const both = { ...event, signatures: { ...(event.signatures as JsonObject), 'three.test': theirs } };
  expect(await receive(both)).toEqual({ kind: 'accept' });
  expect(asked).toEqual([]);
});

it('the room can get rid of it without asking it', async () => {
  signer = undefined;
  await alice.ok('PUT', path('/state/m.room.policy'), {});
  expect((await say(alice)).status).toBe(200);
  expect(asked).toEqual([]);
});
