/** Somebody who is invited from another server, and comes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  alice = await one.register('alice');
  bob = await two.register('bob');
});
afterAll(async () => {
  await one.close();
  await two.close();
});

it.each([
  ['12', true],
  ['12', false],
  ['1', true],
  ['1', false],
])('sees the invite in a sync, and then the room (version %s, first sync: %j)', async (version, isFirstSync) => {
  const rooms = (answer: Record<string, unknown>) => (answer['rooms'] ?? {}) as Record<string, Record<string, unknown>>;
  const before = await bob.ok('GET', '/sync');
  const { room_id } = await alice.ok('POST', '/createRoom', { room_version: version, invite: [bob.userId] });
  const roomId = String(room_id);
  // One client hears of the invite as news, another one when it starts: what both hear then has to be told in the right order.
  if (isFirstSync === false) {
    const told = await bob.ok('GET', `/sync?since=${before['next_batch']}`);
    expect(rooms(told)['invite']?.[roomId]).toBeDefined();
  }
  const invited = await bob.ok('GET', '/sync');
  expect(rooms(invited)['invite']?.[roomId]).toBeDefined();
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`);
  const joined = await bob.ok('GET', `/sync?since=${invited['next_batch']}`);
  expect(Object.keys(rooms(joined))).toEqual(['join']);
  expect(rooms(joined)['join']?.[roomId]).toBeDefined();
});
