/** The event nearest to a time, where another server has it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventById } from '#projections/rooms/queries.ts';
import type { TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let alice: TestClient;
let bob: TestClient;
let roomId: string;
/** Ids of messages that were sent before the other server came, an hour apart. */
const sent: { readonly id: string; readonly ts: number }[] = [];

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  alice = await one.register('alice');
  bob = await two.register('bob');
  roomId = String((await alice.ok('POST', '/createRoom', { preset: 'public_chat' }))['room_id']);
  for (let count = 0; count < 3; count += 1) {
    one.advance(3_600_000);
    const answer = await alice.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${count}`, {
      msgtype: 'm.text',
      body: `${count}`,
    });
    const id = String(answer['event_id']);
    sent.push({ id, ts: eventById(one.context.reader, id)?.originServerTs ?? 0 });
    // What lies between must be more than what a join or a look at the end of the room brings.
    for (let filler = 0; filler < 3; filler += 1) {
      await alice.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${count}-${filler}`, {});
    }
  }
  one.advance(3_600_000);
  two.advance(4 * 3_600_000);
  await bob.ok('POST', `/join/${encodeURIComponent(roomId)}?via=one.test`, {});
});
afterAll(async () => {
  await one.close();
  await two.close();
});

const ask = (who: TestClient, ts: number, dir: 'f' | 'b') =>
  who.call('GET', `/_matrix/client/v1/rooms/${encodeURIComponent(roomId)}/timestamp_to_event?ts=${ts}&dir=${dir}`);

it('is found on the server that has it, and is there from then on', async () => {
  const [, second] = sent;
  if (second === undefined) throw new Error('nothing was sent');
  const forward = await ask(bob, second.ts - 1000, 'f');
  expect([forward.status, forward.body]).toEqual([200, { event_id: second.id, origin_server_ts: second.ts }]);
  const event = await bob.ok('GET', `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(second.id)}`);
  expect(event).toMatchObject({ content: { body: '1' } });
  const context = await bob.ok('GET', `/rooms/${encodeURIComponent(roomId)}/context/${encodeURIComponent(second.id)}`);
  expect(context['event']).toMatchObject({ event_id: second.id });
  const backward = await ask(bob, second.ts, 'b');
  expect(backward.body).toMatchObject({ event_id: second.id });
});

it('is not asked for where nothing is missing, and what is known is good enough where nobody answers', async () => {
  network.setReachable('one.test', false);
  const found = await ask(bob, 0, 'f');
  expect(found.status).toBe(200);
  expect((await ask(alice, Date.now() * 2, 'f')).status).toBe(404);
  network.setReachable('one.test', true);
});

it('is told to servers that are in the room only', async () => {
  const [first] = sent;
  const path = `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(roomId)}?dir=f&ts=${(first?.ts ?? 0) - 1}`;
  const { client } = two.context.federation;
  expect(await client.request({ destination: 'one.test', method: 'GET', path, isUrgent: true })).toMatchObject({
    event_id: first?.id,
  });
  const three = await startServerOn(network, 'three.test');
  const asked = three.context.federation.client.request({ destination: 'one.test', method: 'GET', path });
  await expect(asked).rejects.toMatchObject({ status: 403, errcode: 'M_FORBIDDEN' });
  await three.close();
});
