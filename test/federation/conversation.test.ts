/** Two servers in one room: what is said on one is heard on the other, also after it could not be reached. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findRoom, headOf } from '#projections/rooms/queries.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

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
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
});
afterAll(async () => {
  await one.close();
  await two.close();
});

let txn = 0;
const path = (rest: string) => `/rooms/${encodeURIComponent(roomId)}${rest}`;
const say = (who: TestClient, body: string) =>
  who.ok('PUT', path(`/send/m.room.message/${++txn}`), { body, msgtype: 'm.text' });
const state = (who: TestClient, type: string, content: object) => who.ok('PUT', path(`/state/${type}`), content);

/** Syncs until everything that is waited for has been in a timeline. */
async function hear(who: TestClient, ...bodies: string[]): Promise<string[]> {
  const heard: string[] = [];
  let since = '';
  const deadline = Date.now() + 20_000;
  while (bodies.some((body) => !heard.includes(body)) && Date.now() < deadline) {
    const sync = await who.ok('GET', `/sync?timeout=1000${since}`);
    since = `&since=${String(sync['next_batch'])}`;
    const joined = (
      sync['rooms'] as unknown as { join?: Record<string, { timeline: { events: { content: { body?: string } }[] } }> }
    )?.join;
    for (const { content } of joined?.[roomId]?.timeline.events ?? []) if (content.body) heard.push(content.body);
  }
  return heard;
}

const extremitiesOf = ({ context }: TestServer) => {
  const room = findRoom(context.reader, roomId);
  return [...((room && headOf(context.reader, room.id)?.extremities) ?? [])].sort();
};

it('what is said is heard, in both directions', async () => {
  await say(alice, 'hello from one');
  expect(await hear(bob, 'hello from one')).toContain('hello from one');
  await say(bob, 'hello from two');
  expect(await hear(alice, 'hello from two')).toContain('hello from two');
});

it('after a partition both servers have the same state', async () => {
  network.setReachable('one.test', false);
  network.setReachable('two.test', false);
  await state(alice, 'm.room.name', { name: 'One' });
  await say(alice, 'alone on one');
  for (let n = 0; n < 30; n += 1) await say(bob, `alone on two ${n}`);
  network.setReachable('one.test', true);
  network.setReachable('two.test', true);
  await say(alice, 'back on one');
  await say(bob, 'back on two');
  expect(await hear(bob, 'back on one')).toContain('back on one');
  expect(await hear(alice, 'back on two', 'alone on two 29')).toContain('back on two');
  await say(alice, 'the end');
  expect(await hear(bob, 'the end')).toContain('the end');
  expect(extremitiesOf(one)).toEqual(extremitiesOf(two));
  const names = await Promise.all([alice, bob].map((who) => who.ok('GET', path('/state/m.room.name'))));
  expect(names).toEqual([{ name: 'One' }, { name: 'One' }]);
});
