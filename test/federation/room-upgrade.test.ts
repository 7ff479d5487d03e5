/** A room that is replaced while users of another server are in it. */
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

const enter = (roomId: string) => bob.ok('POST', `/join/${encodeURIComponent(roomId)}?server_name=one.test`);

/** Resolves when the room as bob's server has it was replaced. */
async function heardOfReplacement(roomId: string): Promise<void> {
  let since = '';
  for (;;) {
    const { status } = await bob.call('GET', `/rooms/${roomId}/state/m.room.tombstone`);
    if (status === 200) return;
    const answer = await bob.ok('GET', `/sync?timeout=10000${since}`);
    since = `&since=${answer['next_batch']}`;
  }
}

it.each([
  ['1', '2'],
  ['10', '12'],
])(
  'from version %s to %s: the other server moves its aliases, its list and what its users have set',
  async (from, to) => {
    const { room_id } = await alice.ok('POST', '/createRoom', { preset: 'public_chat', room_version: from });
    const oldRoom = String(room_id);
    await enter(oldRoom);
    const alias = `#bobs-${from}:two.test`;
    await bob.ok('PUT', `/directory/room/${encodeURIComponent(alias)}`, { room_id: oldRoom });
    await bob.ok('PUT', `/user/${bob.userId}/rooms/${oldRoom}/tags/m.favourite`, {});
    await two.context.directory.setListed(oldRoom, true);
    const { replacement_room } = await alice.ok('POST', `/rooms/${oldRoom}/upgrade`, { new_version: to });
    const newRoom = String(replacement_room);
    await heardOfReplacement(oldRoom);
    expect(await bob.ok('GET', `/directory/room/${encodeURIComponent(alias)}`)).toMatchObject({ room_id: oldRoom });
    await enter(newRoom);
    expect(await bob.ok('GET', `/directory/room/${encodeURIComponent(alias)}`)).toMatchObject({ room_id: newRoom });
    expect(await bob.ok('GET', `/directory/list/room/${newRoom}`)).toEqual({ visibility: 'public' });
    expect(await bob.ok('GET', `/directory/list/room/${oldRoom}`)).toEqual({ visibility: 'private' });
    expect(await bob.ok('GET', `/user/${bob.userId}/rooms/${newRoom}/tags`)).toEqual({ tags: { 'm.favourite': {} } });
  },
);
