import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sayIn } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeEach(async () => {
  app = await startApplication();
  alice = await app.register('alice');
  bob = await app.register('bob');
});

afterEach(() => app.close());

const nearest = async (client: TestClient, roomId: string, ts: number, dir: 'f' | 'b') =>
  client.call('GET', `/_matrix/client/v1/rooms/${roomId}/timestamp_to_event?ts=${ts}&dir=${dir}`);

it('finds the nearest event, forwards and backwards', async () => {
  const roomId = await createRoom(alice);
  app.advance(60_000);
  const first = await sayIn(alice, roomId, 'first');
  const between = app.now() + 30_000;
  app.advance(60_000);
  const second = await sayIn(alice, roomId, 'second');
  expect((await nearest(alice, roomId, between, 'b')).body).toMatchObject({ event_id: first });
  expect((await nearest(alice, roomId, between, 'f')).body).toMatchObject({ event_id: second });
  const { origin_server_ts: at } = (await nearest(alice, roomId, between, 'f')).body;
  expect((await nearest(alice, roomId, Number(at), 'b')).body).toMatchObject({ event_id: second });
  const none = await nearest(alice, roomId, app.now() + 1000, 'f');
  expect([none.status, none.body.errcode]).toEqual([404, 'M_NOT_FOUND']);
  expect((await nearest(alice, roomId, 0, 'b')).status).toBe(404);
});

it('finds only what the user may see', async () => {
  const hidden = { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } };
  const roomId = await createRoom(alice, { preset: 'public_chat', initial_state: [hidden] });
  const since = app.now();
  await sayIn(alice, roomId, 'before');
  expect((await nearest(bob, roomId, 0, 'f')).status).toBe(403);
  await bob.ok('POST', `/join/${roomId}`);
  const { event_id: id } = (await nearest(bob, roomId, since, 'f')).body;
  const shown = await bob.ok('GET', `/rooms/${roomId}/event/${id}`);
  expect(shown).toMatchObject({ type: 'm.room.member', state_key: bob.userId });
  const said = await sayIn(alice, roomId, 'for bob');
  await alice.ok('PUT', `/user/${alice.userId}/account_data/m.ignored_user_list`, {
    ignored_users: { [bob.userId]: {} },
  });
  await sayIn(bob, roomId, 'not for alice');
  expect((await nearest(alice, roomId, app.now(), 'b')).body).toMatchObject({ event_id: said });
});

it.each(['dir=f', 'ts=1', 'ts=x&dir=f', 'ts=1&dir=up'])('refuses %s', async (query) => {
  const roomId = await createRoom(alice);
  const { status } = await alice.call('GET', `/_matrix/client/v1/rooms/${roomId}/timestamp_to_event?${query}`);
  expect(status).toBe(400);
});
