/** Users who do not want to be invited. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { createRoom, sync } from './sync-client.ts';

let app: TestApplication;
let alice: TestClient;
let bob: TestClient;

beforeAll(async () => {
  app = await startApplication();
  [alice, bob] = [await app.register('alice'), await app.register('bob')];
});
afterAll(() => app.close());

const configure = (content: object) =>
  bob.ok('PUT', `/user/${bob.userId}/account_data/m.invite_permission_config`, content);

it('somebody who blocks invites is invited by no way, and is as before once they do not', async () => {
  const room = await createRoom(alice, { name: 'Henge' });
  const member = `/rooms/${room}/state/m.room.member/${encodeURIComponent(bob.userId)}`;
  const ways = [
    () => alice.call('POST', `/rooms/${room}/invite`, { user_id: bob.userId }),
    () => alice.call('PUT', member, { membership: 'invite' }),
    () => alice.call('POST', '/createRoom', { invite: [bob.userId] }),
  ];
  await configure({ default_action: 'block' });
  for (const invite of ways) {
    expect(await invite()).toMatchObject({ status: 403, body: { errcode: 'M_INVITE_BLOCKED' } });
  }
  expect((await alice.call('GET', member)).status).toBe(404);
  await configure({ default_action: 'something else' });
  for (const invite of ways) expect((await invite()).status).toBe(200);
});

it('an invite from before is not shown while invites are blocked, and is there all the same', async () => {
  await configure({});
  const room = await createRoom(alice, { invite: [bob.userId] });
  expect((await sync(bob)).rooms?.invite?.[room]).toBeDefined();
  await configure({ default_action: 'block' });
  expect((await sync(bob)).rooms?.invite?.[room]).toBeUndefined();
  await bob.ok('POST', `/join/${room}`);
  expect((await sync(bob)).rooms?.join?.[room]).toBeDefined();
});
