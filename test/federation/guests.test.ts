/** Guests who want into rooms of another server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { request, TestClient } from '#test/support/application.ts';
import { startServerOn, TestNetwork, type TestServer } from '#test/support/federation.ts';

const network = new TestNetwork();
let one: TestServer;
let two: TestServer;
let bob: TestClient;

beforeAll(async () => {
  one = await startServerOn(network, 'one.test');
  two = await startServerOn(network, 'two.test');
  bob = await two.register('bob');
});
afterAll(async () => {
  await one.close();
  await two.close();
});

async function newGuest(): Promise<TestClient> {
  const { body } = await request(one.http, 'POST', '/register?kind=guest', {});
  return new TestClient(one.http, String(body['user_id']), String(body['device_id']), String(body['access_token']));
}

const setAccess = (roomId: string, guest_access: string) =>
  bob.ok('PUT', `/rooms/${roomId}/state/m.room.guest_access`, { guest_access });

it.each(['public_chat', 'private_chat'])('come in where guests are admitted, and only there (%s)', async (preset) => {
  const guest = await newGuest();
  const { room_id } = await bob.ok('POST', '/createRoom', { preset });
  const roomId = String(room_id);
  await setAccess(roomId, 'forbidden');
  if (preset === 'private_chat') await bob.ok('POST', `/rooms/${roomId}/invite`, { user_id: guest.userId });
  const enter = () => guest.call('POST', `/join/${encodeURIComponent(roomId)}?server_name=two.test`);
  expect(await enter()).toMatchObject({ status: 403, body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } });
  await setAccess(roomId, 'can_join');
  expect(await enter()).toMatchObject({ status: 200 });
  expect((await guest.ok('GET', '/joined_rooms'))['joined_rooms']).toEqual([roomId]);
});
