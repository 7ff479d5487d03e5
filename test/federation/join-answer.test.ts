/** What a server is told that lets one of its users into a room, asked step by step as another implementation would. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { contentHash, eventIdOf } from '#protocol/hashing.ts';
import type { JsonObject, Pdu } from '#protocol/pdu.ts';
import { roomVersionRules } from '#protocol/room-version.ts';
import { federationPath } from '#src/federation/client.ts';
import { signEvent } from '#src/federation/inbound/handshakes.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

let one: TestServer;
let two: TestServer;
let three: TestServer;
let alice: TestClient;

beforeAll(async () => {
  const network = new TestNetwork();
  [one, two, three] = [
    await startServerOn(network, 'one.test'),
    await startServerOn(network, 'two.test'),
    await startServerOn(network, 'three.test'),
  ];
  alice = await one.register('alice');
});
afterAll(async () => {
  await one.close();
  await two.close();
  await three.close();
});

/** The answer of `one.test` when a user of another server comes in. */
async function join(by: TestServer, roomId: string, userId: string): Promise<JsonObject> {
  const { client } = by.context.federation;
  const template = await client.request({
    destination: 'one.test',
    method: 'GET',
    path: `${federationPath`/_matrix/federation/v1/make_join/${roomId}/${userId}`}?ver=11`,
  });
  const rules = roomVersionRules('11') ?? expect.fail();
  const event = { ...(template['event'] as JsonObject), origin: by.name, origin_server_ts: by.now() };
  const hashed = { ...event, hashes: { sha256: contentHash(event, rules) } };
  const pdu = signEvent(hashed, rules, by.name, by.signingKey);
  return client.request({
    destination: 'one.test',
    method: 'PUT',
    path: `${federationPath`/_matrix/federation/v2/send_join/${roomId}/${eventIdOf(pdu as Pdu, rules)}`}?omit_members=true`,
    content: pdu,
  });
}

it('names the servers that were in the room before, which can be asked for the members', async () => {
  const room = await alice.ok('POST', '/createRoom', { preset: 'public_chat', room_version: '11' });
  const roomId = String(room['room_id']);
  const serversTold = async (by: TestServer, userId: string) =>
    (await join(by, roomId, userId))['servers_in_room'] as string[];
  expect(await serversTold(two, '@bob:two.test')).toEqual(['one.test']);
  expect((await serversTold(three, '@cleo:three.test')).sort()).toEqual(['one.test', 'two.test']);
  const all = ['one.test', 'three.test', 'two.test'];
  expect((await serversTold(two, '@bert:two.test')).sort(), 'somebody else of it was there').toEqual(all);
  expect((await serversTold(three, '@cleo:three.test')).sort(), 'the user was there').toEqual(all);
});
