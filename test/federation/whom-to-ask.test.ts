/** Whom a server asks for what it lacks, of the many that are in a room and are not all there. */
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

const at = (roomId: string, rest: string) => `/rooms/${encodeURIComponent(roomId)}${rest}`;

/** Has people of servers that nobody can reach be in a room, as far as one.test knows. */
async function addMembers(roomId: string, ...userIds: readonly string[]): Promise<void> {
  for (const userId of userIds) {
    const event = { sender: userId, type: 'm.room.member', stateKey: userId, content: { membership: 'join' } };
    await one.context.rooms.send(roomId, event);
  }
}

it('history comes from who was there, however many others are in the room and are gone', async () => {
  const made = await bob.ok('POST', '/createRoom', { preset: 'public_chat' });
  const roomId = String(made['room_id']);
  const path = at(roomId, '/send/m.room.message');
  for (let count = 0; count < 40; count += 1) {
    await bob.ok('PUT', `${path}/${count}`, { msgtype: 'm.text', body: `${count}` });
  }
  await alice.ok('POST', `/join/${encodeURIComponent(roomId)}?via=two.test`, {});
  const gone = Array.from({ length: 12 }, (_, index) => `aaa${index}.test`);
  await addMembers(roomId, ...gone.flatMap((server) => [`@a:${server}`, `@b:${server}`, `@c:${server}`]));
  const bodies: string[] = [];
  let from = '';
  for (let pages = 0; pages < 10 && !bodies.includes('0'); pages += 1) {
    const page = await alice.ok('GET', at(roomId, `/messages?dir=b&limit=50${from}`));
    const chunk = page['chunk'] as unknown as { content: { body?: string } }[];
    bodies.push(...chunk.flatMap(({ content }) => content.body ?? []));
    if (page['end'] === undefined) break;
    from = `&from=${String(page['end'])}`;
  }
  expect(bodies).toEqual(Array.from({ length: 40 }, (_, index) => `${39 - index}`));
});

it('an alias names the servers with the most people first', async () => {
  const made = await alice.ok('POST', '/createRoom', { preset: 'public_chat', room_alias_name: 'large' });
  const roomId = String(made['room_id']);
  await addMembers(roomId, '@a:bbb.test', '@a:zzz.test', '@b:zzz.test', '@a:mmm.test', '@b:mmm.test', '@c:mmm.test');
  const found = await bob.ok('GET', `/directory/room/${encodeURIComponent('#large:one.test')}`);
  expect(found['servers']).toEqual(['one.test', 'mmm.test', 'zzz.test', 'bbb.test']);
});
