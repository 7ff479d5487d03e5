/** Somebody who is invited from another server, and comes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let users = 0;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  alice = await one.register('alice');
});
afterAll(async () => {
  await one.close();
  await two.close();
});

it.each([
  ['12', 'news'],
  ['1', 'news'],
  ['12', 'part of a first sync'],
  ['1', 'part of a first sync'],
])('sees the invite, and then the room (version %s, the invite as %s)', async (version, as) => {
  const rooms = (answer: Record<string, unknown>) => (answer['rooms'] ?? {}) as Record<string, Record<string, unknown>>;
  users += 1;
  const bob = await two.register(`bob${users}`);
  let query = '';
  if (as === 'news') query = `?since=${(await bob.ok('GET', '/sync'))['next_batch']}`;
  const { room_id } = await alice.ok('POST', '/createRoom', { room_version: version, invite: [bob.userId] });
  const roomId = String(room_id);
  const invited = await bob.ok('GET', `/sync${query}`);
  expect(rooms(invited)['invite']?.[roomId]).toBeDefined();
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}`);
  const joined = await bob.ok('GET', `/sync?since=${invited['next_batch']}`);
  expect(Object.keys(rooms(joined))).toEqual(['join']);
  expect(rooms(joined)['join']?.[roomId]).toBeDefined();
});
