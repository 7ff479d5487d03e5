import { afterEach, beforeEach, expect, test } from 'vitest';
import { departing } from '#projections/accounts/tables.ts';
import { Departures } from '#src/accounts/departures.ts';
import { silentLog } from '#src/log/logger.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';

const AUTH = {
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: 'alice' },
  password: 'correct horse battery staple',
};

let application: TestApplication;
let alice: TestClient;
let bob: TestClient;
beforeEach(async () => {
  application = await startApplication();
  alice = await application.register('alice');
  bob = await application.register('bob');
});
afterEach(() => application.close());

/** Works the queue as a server that has just started does. */
async function departuresOfTheNextStart(): Promise<void> {
  const departures = new Departures({ ...application.context, logger: silentLog() });
  departures.wake();
  await departures.settled();
}
const roomWithAlice = async () => String((await bob.ok('POST', '/createRoom', { invite: [alice.userId] }))['room_id']);
const membershipOfAlice = async (roomId: string) =>
  (await bob.ok('GET', `/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${alice.userId}`))['membership'];
const isDeparting = () => application.engine.reader.has(departing, [alice.userId]);

test('who closes the account leaves all rooms, and turns down what they were invited to', async () => {
  const joined = await Promise.all(Array.from({ length: 20 }, roomWithAlice));
  for (const roomId of joined) await alice.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
  const invited = await roomWithAlice();
  await alice.ok('POST', '/account/deactivate', { auth: AUTH });
  await departuresOfTheNextStart();
  for (const roomId of [...joined, invited]) expect(await membershipOfAlice(roomId)).toBe('leave');
  expect(isDeparting()).toBe(false);
});

test('what could not be done is done at the next start', async () => {
  const roomId = await roomWithAlice();
  await alice.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
  const { accounts } = application.context;
  const deactivated = accounts.deactivate(alice.userId, { isErased: false });
  // The disk is full as soon as the account is closed.
  const stop = application.engine.onAdvance(() => application.log.refuseWrites('the disk is full'));
  await deactivated;
  stop();
  await departuresOfTheNextStart();
  expect(isDeparting()).toBe(true);
  application.log.refuseWrites(undefined);
  await departuresOfTheNextStart();
  expect(await membershipOfAlice(roomId)).toBe('leave');
  expect(isDeparting()).toBe(false);
});
