/** The ends of a room's graph that a partition left, joined when an administrator asks for it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findRoom, headOf } from '#projections/rooms/queries.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const WAIT_MS = 60_000;

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let roomId: string;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  alice = await one.register('alice');
  bob = await two.register('bob');
  await one.context.accounts.setAdmin(alice.userId, true);
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
}, WAIT_MS);
afterAll(async () => {
  await one.close();
  await two.close();
});

const say = (who: TestClient, body: string) =>
  who.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${encodeURIComponent(body)}`, {
    msgtype: 'm.text',
    body,
  });
const extremities = () => {
  const room = findRoom(one.context.reader, roomId);
  return (room && headOf(one.context.reader, room.id)?.extremities) ?? [];
};

it(
  'are joined by an event that follows all of them',
  async () => {
    network.setReachable('one.test', false);
    network.setReachable('two.test', false);
    const { event_id: ours } = await say(alice, 'alone on one');
    await say(bob, 'alone on two');
    network.setReachable('one.test', true);
    network.setReachable('two.test', true);
    const { event_id: theirs } = await say(bob, 'back on two');
    await expect.poll(() => [...extremities()].sort(), { timeout: WAIT_MS }).toEqual([ours, theirs].sort());
    const path = `/_synapse/admin/v1/rooms/${encodeURIComponent(roomId)}/forward_extremities`;
    expect(await alice.ok('GET', path)).toMatchObject({ count: 2 });
    expect(await alice.ok('DELETE', path)).toEqual({ deleted: 1 });
    expect(extremities()).toHaveLength(1);
    expect(await alice.ok('DELETE', path)).toEqual({ deleted: 0 });
    const { chunk } = await alice.ok('GET', `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=3`);
    const events = chunk as unknown as { type: string; sender: string; content: object }[];
    expect(events[0]).toMatchObject({ type: 'org.matrix.dummy_event', sender: alice.userId, content: {} });
  },
  WAIT_MS * 2,
);
